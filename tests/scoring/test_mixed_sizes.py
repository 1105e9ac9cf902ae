"""Images of several sizes in one set, which other programs cannot batch, are scored as each one alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from convergan import InceptionScore, ScoreSettings, UserError, kernel_distance, score
from convergan.networks.interface import DiscriminatorOutput

SIZES = [(9, 14), (20, 20), (14, 9), (9, 14)]
"""Width and height of the images, one after the other."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(12):
        width, height = SIZES[number % len(SIZES)]
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.png")
    return tmp_path


def one_by_one(folder: Path) -> list[Tensor]:
    return [
        torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).unsqueeze(0)
        for path in sorted(folder.iterdir())
    ]


class Pooled(nn.Module):
    """A convolutional network for images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        features = self.layer(images / 25).relu().mean(dim=(2, 3))
        return DiscriminatorOutput(logits=4 * self.head(features), features=features)


def test_numbers_are_those_of_images_one_by_one(folder: Path) -> None:
    torch.manual_seed(0)
    judge = Pooled().eval()
    settings = ScoreSettings(splits=2, metrics=("is", "kid"))
    with pytest.warns(UserWarning):
        scores = score(folder, reference=folder, classifier=judge, settings=settings)
    metric = InceptionScore(judge, count=12, splits=2)
    outputs = []
    for image in one_by_one(folder):
        metric.update(image)
        with torch.inference_mode():
            outputs.append(judge(image).features)
    features = torch.cat(outputs)
    assert len(features) == scores.sets["images"].count == 12
    mean = float(metric.compute().mean)
    assert scores.numbers["Inception score"].value == pytest.approx(mean, rel=1e-6)
    expected = float(kernel_distance(features, features))
    assert scores.numbers["KID"].value == pytest.approx(expected, rel=1e-6)


class Flat(nn.Module):
    """A network with a feature for each pixel, so that images of another size have other features."""

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        pixels = images.flatten(1).float()
        return DiscriminatorOutput(logits=pixels[:, :3], features=pixels)


def test_a_network_whose_features_depend_on_the_size_is_an_error(folder: Path) -> None:
    with pytest.raises(
        UserError, match=r"01\.png: expected 378 outputs of the network, .* before, got 1200$"
    ):
        score(folder, classifier=Flat().eval())
