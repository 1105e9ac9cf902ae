"""The Inception network and its resize agree with torch-fidelity's, whose weights it loads."""

from typing import Any

import pytest
import torch
from sklearn.datasets import load_sample_images

from convergan.errors import UserError
from convergan.metrics.inception import InceptionNetwork, resize_like_tensorflow
from harness.torch_fidelity_reference import reference_network

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def network(inception_state: State) -> InceptionNetwork:
    network = InceptionNetwork()
    network.load_weights(inception_state)
    return network


def test_features_and_logits_are_torch_fidelitys(
    network: InceptionNetwork, inception_state: State
) -> None:
    """The images are 16 pieces of photographs, in two sizes, and are resized."""
    photographs = [torch.tensor(image) for image in load_sample_images().images]
    sizes = ((60, 90), (128, 101))
    pieces = [
        torch.stack(
            [
                photographs[number % 2][row : row + height, column : column + width]
                for number in range(8)
                for row, column in [(44 * number % 290, 68 * number)]
            ]
        ).permute(0, 3, 1, 2)
        for height, width in sizes
    ]
    with torch.inference_mode():
        outputs, expected = (
            [torch.cat(part) for part in zip(*map(look, pieces), strict=True)]
            for look in (network, reference_network(inception_state))
        )
    # Large enough for the comparison to mean something; logits of the trained network are of order 10.
    assert expected[0].std() > 0.1
    for output, reference, scale in zip(
        outputs, expected, (1, 10 / expected[1].std()), strict=True
    ):
        assert len(output) == 16
        torch.testing.assert_close(scale * output, scale * reference, rtol=1e-4, atol=1e-4)


def test_logits_are_in_full_where_the_rest_is_not(network: InceptionNetwork) -> None:
    images = torch.randint(0, 256, (2, 3, 20, 30), dtype=torch.uint8)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        features, logits = network(images)
    assert features.dtype == logits.dtype == torch.float32
    torch.testing.assert_close(logits, features @ network.fc.weight.T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [(5, 7), (32, 32), (299, 299), (480, 301)])
def test_resize_is_torch_fidelitys(size: tuple[int, int], torch_fidelity: Any) -> None:
    resize = torch_fidelity("interpolate_compat_tensorflow")
    images = torch.rand(2, 3, *size) * 255
    expected = resize.interpolate_bilinear_2d_like_tensorflow1x(
        images, size=(299, 299), align_corners=False
    )
    torch.testing.assert_close(resize_like_tensorflow(images, 299), expected, rtol=0, atol=1e-4)


def test_an_image_does_not_depend_on_those_beside_it(network: InceptionNetwork) -> None:
    images = torch.randint(0, 256, (3, 3, 20, 30), dtype=torch.uint8)
    with torch.inference_mode():
        batched, alone = network(images).features[1], network(images[1:2]).features[0]
    torch.testing.assert_close(batched, alone, rtol=1e-4, atol=1e-5)


def test_stays_in_evaluation_mode(network: InceptionNetwork) -> None:
    wrapper = torch.nn.Sequential(network).train()
    assert not any(module.training for module in wrapper[0].modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    "images",
    [torch.rand(1, 3, 8, 8), torch.zeros(1, 2, 8, 8).byte(), torch.zeros(3, 8, 8).byte()],
    ids=["floats", "channels", "axes"],
)
def test_other_images_are_refused(network: InceptionNetwork, images: torch.Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"images: expected uint8 \[batch, 1 or 3, height, width\]"
    ):
        network(images)


def test_other_weights_are_refused(inception_state: State) -> None:
    network = InceptionNetwork()
    missing = {k: v for k, v in inception_state.items() if k != "Mixed_6c.branch1x1.bn.bias"}
    misshapen = {**inception_state, "fc.weight": torch.zeros(1000, 2048)}
    extra = {**inception_state, "AuxLogits.fc.bias": torch.zeros(1)}
    for state, message in (
        (missing, r"a\.pth: expected an entry Mixed_6c\.branch1x1\.bn\.bias, got none"),
        (misshapen, r"a\.pth: expected fc\.weight of shape \(1008, 2048\), got \(1000, 2048\)"),
        (extra, r"a\.pth: expected no entry AuxLogits\.fc\.bias"),
    ):
        with pytest.raises(UserError, match=message):
            network.load_weights(state, "a.pth")
