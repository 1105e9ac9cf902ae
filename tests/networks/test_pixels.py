"""Pixels of files become numbers of a network, and pixels again."""

import pytest
import torch

from convergan.networks.pixels import to_network, to_uint8


@pytest.mark.parametrize("pixel_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_pixels_survive_the_way_to_the_network_and_back(pixel_range):
    levels = torch.arange(256, dtype=torch.uint8).reshape(2, 4, 8, 4)[..., :3]
    floats = to_network(levels, pixel_range)
    assert floats.shape == (2, 3, 4, 8) and floats.dtype == torch.float32
    assert floats.is_contiguous()
    assert floats[1, 2, 3, 7] == pytest.approx(
        pixel_range[0] + (pixel_range[1] - pixel_range[0]) * 254 / 255, abs=1e-6
    )
    assert torch.equal(to_uint8(floats, pixel_range), levels)
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    assert torch.equal(to_uint8(to_network(every, pixel_range), pixel_range), every)
    ends = to_network(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1), pixel_range)
    assert ends.flatten().tolist() == pytest.approx(pixel_range)


def test_generated_pixels_are_clamped_and_rounded():
    generated = torch.tensor([-3.0, -1.0, 0.001, 1.0, 9.0]).reshape(1, 1, 1, 5)
    assert to_uint8(generated, (-1.0, 1.0)).flatten().tolist() == [0, 0, 128, 255, 255]


def test_floats_from_0_to_1_are_pixels_too():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    floats = levels.double() / 255
    original = floats.clone()
    expected = to_network(levels, (-1.0, 1.0))
    torch.testing.assert_close(to_network(floats, (-1.0, 1.0)), expected)
    torch.testing.assert_close(to_network(floats.float(), (-1.0, 1.0)), expected)
    assert torch.equal(floats, original)
    # Images of one channel need no rearrangement, and are copied all the same.
    singles = floats.float()
    to_network(singles, (-1.0, 1.0))
    assert torch.equal(singles, original.float())
