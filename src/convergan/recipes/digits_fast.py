"""scikit-learn's digits with 100 labels in half a minute: shifted and rotated digits, and consistency.

`mnist-fast` on the digits that come with scikit-learn: 1,297 images of 8x8 pixels for training, 500 for
tests.
"""

from dataclasses import replace

from convergan.recipes import mnist_fast
from convergan.recipes.settings import DataSettings

RECIPE = replace(mnist_fast.RECIPE, name="digits-fast", data=DataSettings(source="digits"))
