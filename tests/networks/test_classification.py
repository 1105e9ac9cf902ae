"""Many images through a classifier: one way for test errors, predictions and scores."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from convergan.data.batches import DeviceImages
from convergan.data.image_stream import stream_of_array
from convergan.data.source import open_data_set
from convergan.inference.predict import predict
from convergan.networks.batches import run_batches
from convergan.networks.build import build_discriminator
from convergan.networks.classification import batch_size, classified_pixels
from convergan.networks.interface import Discriminator, DiscriminatorOutput
from convergan.recipes.networks import ConvSettings
from convergan.recipes.presets import PRESETS
from convergan.runs.model import load_classifier
from convergan.scoring.embedding import embed
from convergan.scoring.networks import run_embedding
from convergan.training.classify import classify, predicted_classes

CPU = torch.device("cpu")


def network() -> Discriminator:
    torch.manual_seed(0)
    return build_discriminator(ConvSettings(width=4), (3, 12, 10), 5)


def pixels(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 12, 10, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("in_threads", [True, False])
def test_batches_come_back_in_order_with_what_is_said_of_each_image(in_threads: bool) -> None:
    judge, images = network(), pixels(23)
    batches = enumerate(images.split(4))
    outputs = list(run_batches(judge_pixels(judge), batches, CPU, in_threads=in_threads))
    assert [key for key, _ in outputs] == list(range(6))
    # The network has noise and dropout: it was in evaluation mode, and is in training again.
    assert judge.training
    expected = classified_pixels(judge, images)
    for name in DiscriminatorOutput._fields:
        joined = torch.cat([getattr(output, name) for _, output in outputs])
        torch.testing.assert_close(joined, getattr(expected, name), rtol=1e-5, atol=1e-6)
        assert not joined.requires_grad
    floats = images.float() / 255
    torch.testing.assert_close(classified_pixels(judge, floats), expected, rtol=1e-5, atol=1e-6)


def test_a_batch_is_read_when_it_is_wanted() -> None:
    numbers: list[int] = []

    def batches() -> Iterator[tuple[int, Tensor]]:
        for number in range(100):
            numbers.append(number)
            yield number, pixels(2)

    outputs = run_batches(judge_pixels(network()), batches(), CPU, in_threads=False)
    assert not numbers
    next(outputs)
    assert numbers == [0]


def test_bf16_is_that_of_autocast_and_comes_back_as_float32() -> None:
    judge, images = network().eval(), pixels(8)
    (exact,) = (output for _, output in run_batches(judge_pixels(judge), [(0, images)], CPU))
    ((_, rounded),) = run_batches(judge_pixels(judge), [(0, images)], CPU, bf16=True)
    assert rounded.logits.dtype == rounded.features.dtype == torch.float32
    assert torch.equal(rounded.features, rounded.features.bfloat16().float())
    assert not torch.equal(exact.features, exact.features.bfloat16().float())
    torch.testing.assert_close(rounded.logits, exact.logits, rtol=0.1, atol=0.05)


def judge_pixels(judge: Discriminator) -> Callable[[Tensor], DiscriminatorOutput]:
    return lambda images: classified_pixels(judge, images)


def test_batches_hold_as_many_pixels_as_the_device_likes() -> None:
    assert batch_size((8, 8), "cpu") == batch_size((8, 8), "cuda") == 512
    assert batch_size((32, 32), "cpu") == 256
    assert batch_size((128, 128), "cpu") == 16
    assert batch_size((128, 128), "cuda") == 512
    assert batch_size((4000, 3000), "cuda") == 16


def test_training_predict_and_score_say_the_same_of_every_image(
    trained_run: Path, tmp_path: Path
) -> None:
    data = open_data_set(PRESETS["digits"].data)
    assert data.test is not None
    images = data.test.images
    classifier = load_classifier(trained_run)
    judge = classifier.network

    on_device = DeviceImages(images, resident_bytes=0)
    tested = classify(judge, on_device, np.arange(len(images)))
    classes = predicted_classes(judge, on_device, np.arange(len(images)))
    errors = json.loads((trained_run / "results.json").read_text())["test_errors"]
    assert int((classes != data.test.labels).sum()) == errors

    scored = embed(run_embedding(trained_run), stream_of_array("digits", images)).images.logits
    assert np.array_equal(scored.argmax(dim=1).numpy(), classes)
    assert torch.equal(scored, tested)

    for number, image in enumerate(images):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{number:04d}.png")
    for source in (tmp_path, images):
        predicted = predict(classifier, source)
        assert predicted.labels.tolist() == classes.tolist()
        assert np.array_equal(predicted.probabilities, torch.softmax(tested, dim=1).numpy())
