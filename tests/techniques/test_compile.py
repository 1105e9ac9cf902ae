"""torch.compile of every technique without graph breaks, in a process without shape checks."""

import os
import subprocess
import sys

SCRIPT = """
import torch
from torch import nn

from convergan.techniques.feature_matching import feature_matching_loss
from convergan.techniques.generator_losses import minimax_generator_loss, target_generator_loss
from convergan.techniques.historical_averaging import HistoricalAveraging
from convergan.techniques.label_smoothing import one_sided_smoothing_loss
from convergan.techniques.minibatch_discrimination import MinibatchDiscrimination
from convergan.techniques.semi_supervised import real_probability_logit, semi_supervised_loss
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
averaging = HistoricalAveraging(generator)
averaging.update()
of_tensors = HistoricalAveraging(list(discriminator.parameters()))
of_tensors.update()
labels = torch.arange(4) % 5


def loss(x):
    features = generator(x)
    logits = discriminator(features)
    return (
        feature_matching_loss(features[:2], features[2:])
        + one_sided_smoothing_loss(logits[:2], logits[2:])
        + semi_supervised_loss(logits, labels, logits, logits).total
        + averaging.penalty()
        + of_tensors.penalty()
        + minimax_generator_loss(logits)
        + target_generator_loss(real_probability_logit(logits))
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

# An update that does not read the count of steps, as on a GPU, where reading it would be to wait.
other = HistoricalAveraging(generator)
other.update()
update = torch.compile(other.update, fullgraph=True, backend=BACKEND)
for _ in range(3):
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter += 0.3
    averaging.update()
    update()
for a, b in zip(averaging.buffers(), other.buffers(), strict=True):
    torch.testing.assert_close(a, b)
"""


# Inductor, torch's usual backend, takes minutes of the compiler's time for all of them: here it has what its
# code generation is hardest on, statistics over a part of the rows.
VIRTUAL_BATCH_NORM = """
import torch
from torch import nn

from convergan.techniques.virtual_batch_norm import (
    ReferenceBatch,
    VirtualBatchNorm1d,
    VirtualBatchNorm2d,
)

torch.manual_seed(0)
network = nn.Sequential(VirtualBatchNorm2d(2, 6), nn.Flatten(), VirtualBatchNorm1d(8, 6))
generator = ReferenceBatch(network, torch.randn(6, 2, 2, 2))
x = torch.randn(4, 2, 2, 2)
torch.testing.assert_close(torch.compile(generator, fullgraph=True)(x), generator(x))
"""


def run(script: str) -> None:
    """Run a script in a process of its own: the tests' shape checks cannot be compiled."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr


def test_compiles_into_one_graph_with_the_same_gradients_and_by_inductor():
    run(SCRIPT.replace("BACKEND", "'aot_eager'") + VIRTUAL_BATCH_NORM)
