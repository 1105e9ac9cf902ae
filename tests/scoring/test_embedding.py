"""Features and logits of images: no second copy in memory, and the precision of the fingerprint."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from convergan.data.image_stream import open_image_stream, stream_of_array
from convergan.errors import UserError
from convergan.networks.interface import DiscriminatorOutput
from convergan.networks.precision import without_tf32
from convergan.scoring.embedding import Embedding, embed
from convergan.scoring.networks import run_embedding


class Sums(nn.Module):
    """Gives sums of pixels as features, and as logits the same plus 1 where TF32 is off."""

    def forward(self, images: Tensor) -> Any:
        sums = images.flatten(1).double().sum(dim=1, keepdim=True).float()
        exact = CONVOLUTIONS.fp32_precision == "ieee"
        return DiscriminatorOutput(logits=sums + exact, features=sums)


CONVOLUTIONS: Any = torch.backends.cudnn.conv


def embedding() -> Embedding:
    return Embedding(Sums(), 1, None, (), {"network": "sums"})


def test_no_convolution_rounds_to_tf32_meanwhile() -> None:
    images = np.arange(20 * 16, dtype=np.uint8).reshape(20, 4, 4)
    precision = CONVOLUTIONS.fp32_precision
    outputs = embed(embedding(), stream_of_array("a", images)).images
    assert torch.equal(outputs.logits, outputs.features + 1)
    assert CONVOLUTIONS.fp32_precision == precision
    with pytest.raises(KeyError), without_tf32():
        raise KeyError
    assert CONVOLUTIONS.fp32_precision == precision
    alone = embed(embedding(), stream_of_array("a", images), logits_alone=True).images
    assert torch.equal(alone.logits, outputs.logits)
    assert alone.features.shape == (20, 0) and len(alone) == 20


PEAK = """
import re, numpy, torch
from pathlib import Path
from torch import nn
from convergan.data.image_stream import stream_of_array
from convergan.scoring.embedding import Embedding, embed
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


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_logits_alone_are_on_disk(trained_run: Path, digits: np.ndarray) -> None:
    """Logits of the five million images from which the best 1 % are chosen take 20 GB."""
    embedding = run_embedding(trained_run)
    on_disk = embed(embedding, stream_of_array("a", digits), logits_alone=True).images
    in_memory = embed(embedding, stream_of_array("a", digits)).images
    assert torch.equal(on_disk.logits, in_memory.logits) and on_disk.features.shape == (120, 0)
    file = on_disk.logits.untyped_storage().data_ptr()
    with open("/proc/self/maps", encoding="utf-8") as maps:
        (mapping,) = [
            line
            for line in maps
            for first, last in [line.split()[0].split("-")]
            if int(first, 16) <= file < int(last, 16)
        ]
    assert mapping.rstrip().endswith("(deleted)")


class Broken(nn.Module):
    """Gives logits that are not finite for a black image."""

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        level = images.flatten(1).float().mean(dim=1, keepdim=True)
        return DiscriminatorOutput(logits=level.log().expand(-1, 3), features=level)


@pytest.mark.parametrize("batch_size", [4, 16])
def test_outputs_that_are_not_finite_name_the_image(
    batch_size: int, digits: np.ndarray, tmp_path: Path
) -> None:
    images = digits[:20].copy()
    embedding = Embedding(Broken(), 1, None, (), {"network": "broken"}, batch_size=batch_size)
    embed(embedding, stream_of_array("a", images))
    images[13] = 0
    with pytest.raises(UserError, match=r"^a: row 13: expected finite outputs of the network"):
        embed(embedding, stream_of_array("a", images))
    for number, image in enumerate(images):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{number:02d}.png")
    with pytest.raises(UserError, match=r"13\.png: expected finite outputs of the network"):
        embed(embedding, open_image_stream(tmp_path))
