"""Data-parallel training in a loop of one's own: the ranks end with what one process would."""

from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from convergan import (
    WeightNormConv2d,
    WeightNormLinear,
    feature_matching_loss,
    initialize_from_data,
    mean_over_ranks,
)

# The ranks' parts of a batch differ in number and in distribution.
ROWS = (slice(0, 9), slice(9, 24))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        WeightNormConv2d(2, 4, 2), nn.LeakyReLU(0.2), nn.Flatten(), WeightNormLinear(16, 3)
    ).double()


def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    images = torch.randn(24, 2, 3, 3, dtype=torch.float64)
    images[ROWS[1]] += 2
    return images, torch.randn(24, 2, 3, 3, dtype=torch.float64)


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    parallel = DistributedDataParallel(network())
    real, generated = (part[ROWS[rank]] for part in data())
    outputs = initialize_from_data(parallel, real)
    state = {name: value.clone() for name, value in parallel.module.state_dict().items()}

    # DistributedDataParallel has to be called once a step: real and generated samples together.
    features = parallel(torch.cat([real, generated]))
    loss = feature_matching_loss(*(mean_over_ranks(part) for part in features.tensor_split(2)))
    loss.backward()
    gradients = [parameter.grad for parameter in parallel.parameters()]

    half = mean_over_ranks(torch.full((4, 1), 0.1, dtype=torch.bfloat16))

    same = network()
    initialize_from_data(same, data()[0])

    poisoned = network()
    if rank == 1:
        real[0] = torch.nan
    try:
        initialize_from_data(poisoned, real)
        message = ""
    except ValueError as error:
        message = str(error)
    result = (state, outputs, loss.detach(), gradients, half, same.state_dict(), message)
    torch.save(result, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """What each of two ranks came to."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(work, args=(str(folder),), nprocs=2)
    return [load(folder, rank) for rank in range(2)]


def load(folder: Path, rank: int) -> tuple:
    return torch.load(folder / f"{rank}.pt", weights_only=True)


# Two processes take long to start: what they leave is looked at by several tests.
pytestmark = pytest.mark.xdist_group("two ranks of techniques")


def test_initialization_takes_the_samples_of_all_ranks(results: list[tuple]) -> None:
    whole = network()
    expected = initialize_from_data(whole, data()[0])
    for (state, outputs, *_), rows in zip(results, ROWS, strict=True):
        for name, value in whole.state_dict().items():
            torch.testing.assert_close(state[name], value)
        torch.testing.assert_close(outputs, expected[rows])
    for name, value in results[0][0].items():
        assert torch.equal(value, results[1][0][name])


def test_equal_samples_on_all_ranks_are_as_one_process(results: list[tuple]) -> None:
    whole = network()
    initialize_from_data(whole, data()[0])
    for name, value in whole.state_dict().items():
        assert torch.equal(value, results[0][5][name])


def test_feature_matching_takes_the_means_of_all_ranks(results: list[tuple]) -> None:
    whole = network()
    real, generated = data()
    initialize_from_data(whole, real)
    expected = feature_matching_loss(whole(real), whole(generated))
    expected.backward()
    for _, _, loss, gradients, *_ in results:
        torch.testing.assert_close(loss, expected.detach())
        for gradient, parameter in zip(gradients, whole.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)


def test_means_over_ranks_are_taken_in_float32(results: list[tuple]) -> None:
    half = results[0][4]
    assert half.dtype == torch.float32
    assert half.item() == torch.tensor(0.1, dtype=torch.bfloat16).item()


def test_data_that_is_not_finite_on_one_rank_is_an_error_on_all(results: list[tuple]) -> None:
    for *_, message in results:
        assert "x and the weights must be finite to initialize from" in message
