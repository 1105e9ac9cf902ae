"""torch.compile of every technique without graph breaks, in a process without shape checks."""

import os
import subprocess
import sys

SCRIPT = """
import torch
from torch import nn

from convergan.techniques.feature_matching import feature_matching_loss
from convergan.techniques.historical_averaging import HistoricalAveraging
from convergan.techniques.label_smoothing import one_sided_smoothing_loss
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.semi_supervised import semi_supervised_loss
from convergan.techniques.virtual_batch_norm import (
    ReferenceBatch,
    VirtualBatchNorm1d,
    VirtualBatchNorm2d,
)
from convergan.techniques.weight_norm import WeightNormConv2d, WeightNormLinear

torch.manual_seed(0)
network = nn.Sequential(
    WeightNormConv2d(3, 4, 3), VirtualBatchNorm2d(4, 6), nn.Flatten(), VirtualBatchNorm1d(16, 6)
)
generator = ReferenceBatch(network, torch.randn(6, 3, 4, 4))
discriminator = nn.Sequential(MinibatchDiscrimination(16, 4, 3), WeightNormLinear(20, 5))
averaging = HistoricalAveraging(generator.parameters())
averaging.update()
labels = torch.arange(4) % 5


def loss(x):
    features = generator(x)
    logits = discriminator(features)
    return (
        feature_matching_loss(features[:2], features[2:])
        + one_sided_smoothing_loss(logits[:2], logits[2:])
        + semi_supervised_loss(logits, labels, logits, logits).total
        + averaging.penalty()
    )


x = torch.randn(4, 3, 4, 4)
parameters = [*generator.parameters(), *discriminator.parameters()]
expected = loss(x)
actual = torch.compile(loss, fullgraph=True, backend=BACKEND)(x)
torch.testing.assert_close(actual, expected)
for a, b in zip(
    torch.autograd.grad(actual, parameters), torch.autograd.grad(expected, parameters), strict=True
):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
"""


def test_compiles_into_one_graph_with_the_same_gradients():
    # Inductor takes the same script, and minutes of the compiler's time.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    script = SCRIPT.replace("BACKEND", "'aot_eager'")
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
