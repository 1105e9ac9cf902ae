"""Comparisons of techniques with their plain forms run, and give consistent rows."""

from typing import Any

import pytest

import minibatch_discrimination
import virtual_batch_norm


def comparisons() -> list[dict[str, Any]]:
    generator, noise = virtual_batch_norm.dense_generator(8, 4)
    return [
        *minibatch_discrimination.measure_time((6, 4, 3), [4, 2], repeats=3),
        virtual_batch_norm.measure("dense", generator, noise, repeats=3),
    ]


def test_each_row_holds_together(in_this_process: None) -> None:
    rows = comparisons()
    assert len(rows) == 3
    for row in rows:
        low, middle, high = row["times_faster_quartiles"]
        assert 0 < low <= middle <= high
        assert row["times_faster"] == middle
        assert row["times_floor"] == pytest.approx(row["ours"] / row["floor"])
        assert row["repeats"] == 3


def test_a_difference_of_the_two_ways_stops_the_comparison() -> None:
    own_generator, noise = virtual_batch_norm.dense_generator(8, 4)
    peer_generator, _ = virtual_batch_norm.dense_generator(8, 4)
    images_gradient = own_generator(noise)
    with pytest.raises(AssertionError, match="not close"):
        virtual_batch_norm.require_equal(
            own_generator, virtual_batch_norm.TwoForwards(peer_generator), noise, images_gradient
        )
