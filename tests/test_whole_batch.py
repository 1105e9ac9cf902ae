"""A batch that is divided over several ranks: their parts together are the whole."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from convergan import whole_batch
from convergan.networks.over_ranks import take_whole_batches
from convergan.whole_batch import (
    batch_of_ranks,
    blocks_of_rows,
    draw_rows,
    rows_in_all,
    rows_of_halves,
    with_rows,
)

RANKS = 3
SIZES = [2, 1, 4]
BATCH = torch.arange(RANKS * sum(SIZES))


def parts_of(values: Tensor) -> list[Tensor]:
    """The rows of a whole batch by rank: an equal share of every group."""
    groups = values.split([RANKS * size for size in SIZES])
    return [torch.cat([group.chunk(RANKS)[number] for group in groups]) for number in range(RANKS)]


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make this process one of three."""
    monkeypatch.setattr(whole_batch, "ranks", lambda: RANKS)

    def become(number: int) -> None:
        monkeypatch.setattr(whole_batch, "rank", lambda: number)

    return become


@contextmanager
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_ranks_draw_together_what_one_process_draws(as_rank: Callable[[int], None]) -> None:
    with seeded():
        values = torch.rand(len(BATCH), 5), torch.rand(len(BATCH))
        next_value = torch.rand(())
    for number, parts in enumerate(zip(*map(parts_of, values), strict=True)):
        as_rank(number)
        with seeded():
            with batch_of_ranks(SIZES):
                draws = [
                    draw_rows(lambda rows: torch.rand(rows, 5), sum(SIZES)),
                    draw_rows(torch.rand, sum(SIZES)),
                ]
                assert rows_in_all(sum(SIZES)) == len(BATCH)
            assert torch.equal(torch.rand(()), next_value)
        assert all(map(torch.equal, draws, parts))


def test_other_rows_than_those_of_the_batch_are_drawn_alike(
    as_rank: Callable[[int], None],
) -> None:
    as_rank(1)
    with seeded(), batch_of_ranks(SIZES):
        assert len(draw_rows(torch.rand, 3)) == 3
        assert rows_in_all(3) == 3
    assert len(draw_rows(torch.rand, sum(SIZES))) == sum(SIZES)


@pytest.mark.parametrize("blocks", [1, 2, 4, 5, 100])
def test_blocks_are_the_parts_of_those_of_the_whole(
    as_rank: Callable[[int], None], blocks: int
) -> None:
    with seeded():
        draws = torch.cat([torch.rand(len(block)) for block in BATCH.chunk(blocks)])
    for number, (rows, numbers) in enumerate(zip(parts_of(BATCH), parts_of(draws), strict=True)):
        as_rank(number)
        row_blocks, number_blocks = [], []
        with seeded(), batch_of_ranks(SIZES):
            for block in blocks_of_rows(rows, blocks):
                row_blocks.append(block)
                number_blocks.append(draw_rows(torch.rand, len(block)))
        assert len(row_blocks) == len(BATCH.chunk(blocks))
        assert torch.equal(torch.cat(row_blocks), rows)
        assert torch.equal(torch.cat(number_blocks), numbers)


def test_a_process_alone_has_all_rows() -> None:
    rows = torch.arange(7)
    with batch_of_ranks([7]):
        assert [block.tolist() for block in blocks_of_rows(rows, 2)] == [[0, 1, 2, 3], [4, 5, 6]]
        assert rows_in_all(7) == 7
        assert rows_of_halves(7) == [4, 3]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_halves_are_those_of_the_whole(as_rank: Callable[[int], None], size: int) -> None:
    halves = []
    for number in range(RANKS):
        as_rank(number)
        with batch_of_ranks([size]):
            halves.append(rows_of_halves(size))
    assert [sum(half) for half in halves] == [size] * RANKS
    first, second = (sum(counts) for counts in zip(*halves, strict=True))
    assert [first, second] == [RANKS * size - RANKS * size // 2, RANKS * size // 2]
    # The first ranks have the first rows.
    assert halves[0] == [size, 0] and halves[-1] == [0, size]


def test_a_form_with_other_rows() -> None:
    maps = torch.zeros(2, 3, 4, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    resized = with_rows(maps, 5)
    assert resized.shape == (5, 3, 4, 4) and resized.dtype == torch.float64
    assert resized.is_contiguous(memory_format=torch.channels_last)
    assert with_rows(maps, 2) is maps


def test_dropout_of_sequences_is_told_once_to_depend_on_the_ranks(
    as_rank: Callable[[int], None],
) -> None:
    network = nn.Sequential(nn.Dropout(0.5))
    take_whole_batches(network)
    as_rank(1)
    with batch_of_ranks(SIZES):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            network(torch.ones(sum(SIZES), 3))
        # Time comes first.
        with pytest.warns(
            UserWarning, match=r"expected inputs of \[batch, \.\.\.\], got \[2, 7, 3\]"
        ):
            network(torch.ones(2, sum(SIZES), 3))
