"""Data-parallel training in a loop of one's own: the ranks end with what one process would."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from convergan import (
    MinibatchDiscrimination,
    WeightNormConv2d,
    WeightNormLinear,
    feature_matching_loss,
    gather_rows,
    initialize_from_data,
    mean_over_ranks,
)
from support import on_two_ranks

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


# Numbers of rows in the two groups of each rank.
GROUPS: dict[str, list[list[int]]] = {
    "own_group": [[4, 5], [8, 7]],
    "both_halves": [[2, 7], [8, 7]],
}


def rows_in_order(compare: str) -> list[Tensor]:
    """The rows of `features` that a rank has, of all its groups, where those of one group lie together."""
    (first, second), (third, fourth) = GROUPS[compare]
    groups = torch.arange(24).split([first, third, second, fourth])
    return [torch.cat([groups[0], groups[2]]), torch.cat([groups[1], groups[3]])]


def features() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(24, 6, dtype=torch.float64)


class Compared(nn.Module):
    """A layer, and then the similarity of samples of the minibatch."""

    def __init__(self, compare: Any, gather: Any = None) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Linear(6, 5)
        self.minibatch = MinibatchDiscrimination(5, 7, 3, compare=compare, gather=gather)
        self.double()

    def forward(self, inputs: Tensor, sizes: list[int]) -> Tensor:
        return self.minibatch(self.first(inputs).sin(), sizes)


def loss_of(outputs: Tensor, inputs: Tensor, penalty: bool) -> Tensor:
    """The sum over samples; with a gradient penalty, which needs second gradients."""
    loss = outputs.sin().sum()
    if penalty:
        (gradient,) = torch.autograd.grad(loss, inputs, create_graph=True)
        loss = loss + gradient.square().sum()
    return loss


def compare_samples(rank: int) -> dict[str, Any]:
    """Outputs and gradients of a rank whose samples are compared with those of both."""
    result: dict[str, Any] = {}
    for compare, sizes in GROUPS.items():
        inputs = features()[rows_in_order(compare)[rank]].requires_grad_()
        network = Compared(compare, gather_rows)
        network.minibatch.initialize_from_data(network.first(inputs).sin(), sizes[rank])
        result[f"{compare} state"] = dict(network.state_dict())
        parallel = DistributedDataParallel(network)
        for penalty in (False, True):
            parallel.zero_grad()
            outputs = parallel(inputs, sizes[rank])
            # The gradients of the weights are averaged over two ranks.
            (2 * loss_of(outputs, inputs, penalty)).backward()
            name = f"{compare} penalty" if penalty else compare
            result[name] = (
                outputs.detach(),
                [parameter.grad.clone() for parameter in network.parameters()],
            )
    return result


def gather(rank: int) -> tuple[Tensor, ...]:
    """All rows, and gradients of losses that differ on the ranks, the second that of a gradient."""
    rows = features()[ROWS[rank]].t().contiguous().t().requires_grad_()
    gathered = gather_rows(rows)
    loss = ((rank + 1) * gathered.sin() @ gathered.t()).square().sum()
    (gradient,) = torch.autograd.grad(loss, rows, create_graph=True)
    (second,) = torch.autograd.grad(gradient.cos().sum(), rows)
    # One rank has no row; integers have no gradient.
    integers = gather_rows(torch.arange(3 * rank, dtype=torch.int32).unsqueeze(1))
    return gathered.detach(), gradient.detach(), second, integers


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

    replica = network()
    initialize_from_data(replica, data()[0])

    poisoned = network()
    if rank == 1:
        real[0] = torch.nan
    try:
        initialize_from_data(poisoned, real)
        message = ""
    except ValueError as error:
        message = str(error)
    result = (state, outputs, loss.detach(), gradients, half, replica.state_dict(), message)
    exchanges = {"gathered": gather(rank), **compare_samples(rank)}
    torch.save(exchanges, f"{folder}/together-{rank}.pt")
    torch.save(result, f"{folder}/{rank}.pt")
    # Without destructors: a thread of the connection that has just averaged gradients needs the interpreter
    # to put them away; if the connection is closed meanwhile, each waits for the other, for ever.
    torch.distributed.barrier()
    os._exit(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the files of what two ranks computed."""
    folder = tmp_path_factory.mktemp("ranks")
    on_two_ranks(work, str(folder))
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> list[tuple]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def exchanges(folder: Path) -> list[dict[str, Any]]:
    """Results of two ranks that exchanged their rows."""
    return [torch.load(folder / f"together-{rank}.pt", weights_only=True) for rank in range(2)]


# Two processes take long to start: what they leave is looked at by several tests.
pytestmark = pytest.mark.xdist_group("two ranks")


def test_initialization_takes_the_samples_of_all_ranks(results: list[tuple]) -> None:
    single = network()
    expected = initialize_from_data(single, data()[0])
    for (state, outputs, *_), rows in zip(results, ROWS, strict=True):
        for name, value in single.state_dict().items():
            torch.testing.assert_close(state[name], value)
        torch.testing.assert_close(outputs, expected[rows])
    for name, value in results[0][0].items():
        assert torch.equal(value, results[1][0][name])


def test_equal_samples_on_all_ranks_are_as_one_process(results: list[tuple]) -> None:
    single = network()
    initialize_from_data(single, data()[0])
    for name, value in single.state_dict().items():
        assert torch.equal(value, results[0][5][name])


def test_feature_matching_takes_the_means_of_all_ranks(results: list[tuple]) -> None:
    single = network()
    real, generated = data()
    initialize_from_data(single, real)
    expected = feature_matching_loss(single(real), single(generated))
    expected.backward()
    for _, _, loss, gradients, *_ in results:
        torch.testing.assert_close(loss, expected.detach())
        for gradient, parameter in zip(gradients, single.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)


def test_means_over_ranks_are_taken_in_float32(results: list[tuple]) -> None:
    half = results[0][4]
    assert half.dtype == torch.float32
    assert half.item() == torch.tensor(0.1, dtype=torch.bfloat16).item()


def test_data_that_is_not_finite_on_one_rank_is_an_error_on_all(results: list[tuple]) -> None:
    for *_, message in results:
        assert "x and the weights must be finite to initialize from" in message


exactly = {"rtol": 1e-10, "atol": 1e-10}


def test_gathered_rows_are_all_and_get_the_gradients_of_all_losses(
    exchanges: list[dict[str, Any]],
) -> None:
    leaf = features().requires_grad_()
    assert gather_rows(leaf) is leaf

    def gradient_of(rank: int) -> Tensor:
        loss = ((rank + 1) * leaf.sin() @ leaf.t()).square().sum()
        return torch.autograd.grad(loss, leaf, create_graph=True)[0]

    summed = gradient_of(0) + gradient_of(1)
    # Each rank takes the cosine of the gradient of its own rows.
    (second,) = torch.autograd.grad(summed.cos().sum(), leaf)
    for rank, rows in enumerate(ROWS):
        gathered, gradient, second_gradient, integers = exchanges[rank]["gathered"]
        assert torch.equal(gathered, leaf)
        torch.testing.assert_close(gradient, summed[rows].detach(), **exactly)
        torch.testing.assert_close(second_gradient, second[rows], **exactly)
        assert integers.tolist() == [[0], [1], [2]] and integers.dtype == torch.int32


@pytest.mark.parametrize("compare", GROUPS)
def test_samples_of_two_ranks_are_compared_as_on_one(
    compare: str, exchanges: list[dict[str, Any]]
) -> None:
    inputs = features().requires_grad_()
    network = Compared(compare)
    sizes = [sum(parts) for parts in zip(*GROUPS[compare], strict=True)]
    network.minibatch.initialize_from_data(network.first(inputs).sin(), sizes)
    for result in exchanges:
        for name, value in network.state_dict().items():
            torch.testing.assert_close(result[f"{compare} state"][name], value, **exactly)
    for penalty in (False, True):
        network.zero_grad()
        outputs = network(inputs, sizes)
        loss_of(outputs, inputs, penalty).backward()
        name = f"{compare} penalty" if penalty else compare
        for result, rows in zip(exchanges, rows_in_order(compare), strict=True):
            torch.testing.assert_close(result[name][0], outputs[rows].detach(), **exactly)
            for gradient, parameter in zip(result[name][1], network.parameters(), strict=True):
                torch.testing.assert_close(gradient, parameter.grad, **exactly)
