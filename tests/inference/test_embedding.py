"""What a network says of images, kept without a second copy, and in the precision that it is named by."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convergan.data.image_stream import stream_of_array
from convergan.inference.embedding import Embedding, embed
from convergan.networks.interface import DiscriminatorOutput
from convergan.networks.precision import without_tf32


class Sums(nn.Module):
    """Sums of pixels; one more as logits where TF32 is off."""

    def forward(self, images: Tensor) -> Any:
        sums = images.flatten(1).double().sum(dim=1, keepdim=True).float()
        exact = CONVOLUTIONS.fp32_precision == "ieee"
        return DiscriminatorOutput(logits=sums + exact, features=sums)


CONVOLUTIONS: Any = torch.backends.cudnn.conv


def embedding() -> Embedding:
    return Embedding(Sums(), 1, None, (), {"network": "sums"})


def test_no_convolution_rounds_to_tf32_meanwhile() -> None:
    images = np.arange(20 * 16, dtype=np.uint8).reshape(20, 4, 4)
    before = CONVOLUTIONS.fp32_precision
    found = embed(embedding(), stream_of_array("a", images)).images
    assert torch.equal(found.logits, found.features + 1)
    assert CONVOLUTIONS.fp32_precision == before
    with pytest.raises(KeyError), without_tf32():
        raise KeyError
    assert CONVOLUTIONS.fp32_precision == before
    alone = embed(embedding(), stream_of_array("a", images), logits_alone=True).images
    assert torch.equal(alone.logits, found.logits)
    assert alone.features.shape == (20, 0) and len(alone) == 20


PEAK = """
import re, numpy, torch
from pathlib import Path
from torch import nn
from convergan.data.image_stream import stream_of_array
from convergan.inference.embedding import Embedding, embed
from convergan.networks.interface import DiscriminatorOutput

class Wide(nn.Module):
    def forward(self, images):
        outputs = images.flatten(1).float().expand(-1, 2000)
        return DiscriminatorOutput(outputs, outputs)

def memory(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def look(count):
    images = stream_of_array("a", numpy.zeros((count, 1, 1), dtype=numpy.uint8))
    return embed(Embedding(Wide(), 1, None, (), {}), images)

look(100)
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
found = look(8000)
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_is_that_of_the_results() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, check=True)
    results_kb = 8000 * 2 * 2000 * 4 / 1024
    assert results_kb <= int(done.stdout) + 1024 < 1.3 * results_kb
