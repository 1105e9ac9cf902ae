import copy
import io
import pickle

import pytest
import torch
from torch import nn

from convergan.techniques.historical_averaging import HistoricalAveraging

STARTS = 20


def test_the_mean_is_the_arithmetic_mean_of_the_past():
    network = nn.Linear(3, 2).double()
    averaging = HistoricalAveraging(network.parameters())
    history = []
    for _ in range(50):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        averaging.update()
        history.append([p.detach().clone() for p in network.parameters()])
    with torch.no_grad():
        network.weight.add_(1)
    expected = sum(
        (now - torch.stack(past).mean(0)).square().sum()
        for now, past in zip(network.parameters(), zip(*history, strict=True), strict=True)
    )
    torch.testing.assert_close(averaging.penalty(), expected, rtol=1e-12, atol=0)


def test_the_penalty_is_0_before_the_first_update_and_its_gradient_is_2_theta_minus_mean():
    theta = torch.tensor([1.0, 2.0], requires_grad=True)
    averaging = HistoricalAveraging([theta])
    averaging.penalty().backward()
    assert averaging.penalty().item() == 0
    assert theta.grad.tolist() == [0, 0]
    averaging.update()
    with torch.no_grad():
        theta.add_(torch.tensor([1.0, -3.0]))
    averaging.penalty().backward()
    assert averaging.penalty().item() == 10
    assert theta.grad.tolist() == [2, -6]


def test_memory_does_not_grow_with_time():
    network = nn.Linear(3, 2)
    averaging = HistoricalAveraging(network)

    def stored():
        return {name: buffer.numel() for name, buffer in averaging.state_dict().items()}

    initial = stored()
    for _ in range(100):
        averaging.update()
    assert stored() == initial == {"mean_0": 6, "mean_1": 2, "steps": 1}


def test_does_not_own_the_parameters():
    network = nn.Linear(3, 2)
    network.averaging = HistoricalAveraging(network)
    assert list(network.averaging.parameters()) == []
    assert len(list(network.parameters())) == 2


def test_a_restored_run_goes_on_exactly():
    def run(network, averaging, steps, first):
        for step in range(first, first + steps):
            with torch.no_grad():
                network.weight.add_(torch.sin(torch.tensor(float(step))))
            averaging.update()

    network = nn.Linear(3, 2)
    averaging = HistoricalAveraging(network.parameters())
    run(network, averaging, 5, first=0)
    saved = {k: v.clone() for k, v in averaging.state_dict().items()}
    saved_network = {k: v.clone() for k, v in network.state_dict().items()}
    run(network, averaging, 5, first=5)

    resumed_network = nn.Linear(3, 2)
    resumed_network.load_state_dict(saved_network)
    resumed = HistoricalAveraging(resumed_network.parameters())
    resumed.load_state_dict(saved)
    run(resumed_network, resumed, 5, first=5)
    assert resumed.steps.item() == 10
    for name, buffer in averaging.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], buffer)
    assert resumed.penalty().item() == averaging.penalty().item()


def test_the_mean_of_bfloat16_parameters_is_kept_in_float32():
    theta = torch.ones(1, dtype=torch.bfloat16, requires_grad=True)
    averaging = HistoricalAveraging([theta])
    for _ in range(500):
        averaging.update()
    with torch.no_grad():
        theta.mul_(2)
    for _ in range(500):
        averaging.update()
    assert averaging.mean_0.item() == pytest.approx(1.5, abs=1e-3)


def papers_game(x, y):
    return (torch.where(x < 0, x, x * x) - 1) * (y - 1)


def play(weight, steps, learning_rate=0.05):
    """Simultaneous gradient descent on two games: x minimizes the value, y maximizes it.

    Value and penalty are sums over entries, so that one vector per player holds 40 separate games:
    20 starts of the paper's, 20 of x y. Returns the distances to the equilibrium, before and after.
    """
    generator = torch.Generator().manual_seed(0)
    x, y = players = [
        (4 * torch.rand(2 * STARTS, dtype=torch.float64, generator=generator) - 2).requires_grad_()
        for _ in range(2)
    ]
    # f(x) = 1 at x = 1, and y = 1; the game x y has its equilibrium at the origin.
    equilibrium = torch.tensor([1.0, 0.0], dtype=torch.float64).repeat_interleave(STARTS)

    def distances():
        return torch.hypot(x.detach() - equilibrium, y.detach() - equilibrium).split(STARTS)

    start = distances()
    averagings = [HistoricalAveraging([player]) for player in players]
    for _ in range(steps):
        value = papers_game(x[:STARTS], y[:STARTS]).sum() + (x[STARTS:] * y[STARTS:]).sum()
        gradient_x, gradient_y = torch.autograd.grad(value, players)
        penalty = weight * (averagings[0].penalty() + averagings[1].penalty())
        penalty_x, penalty_y = torch.autograd.grad(penalty, players)
        with torch.no_grad():
            x.sub_(learning_rate * (gradient_x + penalty_x))
            y.sub_(learning_rate * (-gradient_y + penalty_y))
        for averaging in averagings:
            averaging.update()
    return start, distances()


def test_finds_the_equilibrium_that_gradient_descent_misses():
    _, with_averaging = play(weight=0.1, steps=4000)
    start, without_averaging = play(weight=0.0, steps=1000)
    for game in range(2):
        assert with_averaging[game].max() < 1e-2
        # Without averaging all starts move away, some until they overflow to nan.
        assert not (without_averaging[game] < start[game]).any()


@pytest.fixture
def network():
    return nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))


def move(network, step=1.0):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += step


def numbers(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_other_tensors_in_the_networks_place_are_followed(network):
    averaging = HistoricalAveraging(network)
    averaging.update()
    replacement = {name: value + 1 for name, value in network.state_dict().items()}
    network.load_state_dict(replacement, assign=True)
    penalty = averaging.penalty()
    penalty.backward()
    assert penalty.item() == pytest.approx(numbers(network))
    torch.testing.assert_close(network[0].weight.grad, torch.full((2, 3), 2.0))
    averaging.update()
    assert averaging.penalty().item() == pytest.approx(numbers(network) / 4)


@pytest.mark.parametrize(
    "set_option",
    [
        torch.__future__.set_overwrite_module_params_on_conversion,
        torch.__future__.set_swap_module_params_on_conversion,
    ],
)
def test_a_converted_network_is_followed(network, set_option):
    averaging = HistoricalAveraging(network)
    averaging.update()
    set_option(True)
    try:
        network.double()
    finally:
        set_option(False)
    move(network)
    averaging.penalty().backward()
    assert averaging.penalty().item() == pytest.approx(numbers(network))
    torch.testing.assert_close(network[2].bias.grad, torch.full((1,), 2.0, dtype=torch.float64))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("averaging_first", [True, False])
def test_a_copy_of_both_follows_the_copied_network(network, copied, averaging_first):
    averaging = HistoricalAveraging(network)
    averaging.update()
    if averaging_first:
        other_averaging, other_network = copied((averaging, network))
    else:
        other_network, other_averaging = copied((network, averaging))
    move(network, 2)
    move(other_network, 1)
    assert averaging.penalty().item() == pytest.approx(4 * numbers(network))
    assert other_averaging.penalty().item() == pytest.approx(numbers(network))
    other_averaging.penalty().backward()
    assert other_network[0].weight.grad is not None
    assert network[0].weight.grad is None


def test_a_copy_of_a_container_follows_the_copied_network(network):
    container = nn.ModuleDict({"averaging": HistoricalAveraging(network), "network": network})
    container["averaging"].update()
    duplicate = copy.deepcopy(container)
    move(duplicate["network"])
    assert duplicate["averaging"].penalty().item() == pytest.approx(numbers(network))
    assert container["averaging"].penalty().item() == 0
    assert not any("averaging" in name for name, _ in duplicate.named_parameters())


def test_a_network_that_holds_its_own_averaging_can_be_copied(network):
    network.averaging = HistoricalAveraging(network)
    network.averaging.update()
    duplicate = copy.deepcopy(network)
    move(duplicate)
    assert duplicate.averaging.penalty().item() == pytest.approx(numbers(network))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("as_tensors", [True, False])
def test_a_copy_alone_says_that_it_follows_nothing(network, copied, as_tensors):
    averaging = HistoricalAveraging(list(network.parameters()) if as_tensors else network)
    averaging.update()
    alone = copied(averaging)
    for method in (alone.penalty, alone.update):
        with pytest.raises(RuntimeError, match=r"follows no longer exists: .*load.*state_dict"):
            method()
    # What the message advises.
    resumed = HistoricalAveraging(network)
    resumed.load_state_dict(alone.state_dict())
    move(network)
    assert resumed.penalty().item() == pytest.approx(numbers(network))


def test_a_copy_of_a_copy_alone_says_so_too(network):
    alone = copy.deepcopy(HistoricalAveraging(network))
    with pytest.raises(RuntimeError, match="no longer exists"):
        copy.deepcopy(alone).penalty()


def test_copies_of_tensors_with_their_averaging_are_followed():
    x = torch.zeros(3, requires_grad=True)
    averaging = HistoricalAveraging([x])
    averaging.update()
    other_averaging, other_x = copy.deepcopy((averaging, x))
    with torch.no_grad():
        other_x += 1
    assert other_averaging.penalty().item() == 3
    assert averaging.penalty().item() == 0


def test_other_parameters_than_before_are_an_error(network):
    averaging = HistoricalAveraging(network)
    averaging.update()
    nn.utils.parametrizations.spectral_norm(network[0])
    with pytest.raises(RuntimeError, match=r"lacks \['0.weight'\] .*parametrizations.weight.orig"):
        averaging.penalty()


@pytest.mark.parametrize("convert", [nn.Module.half, nn.Module.bfloat16])
def test_the_mean_keeps_its_digits_in_a_converted_container(network, convert):
    container = nn.ModuleDict({"averaging": HistoricalAveraging(network), "network": network})
    container["averaging"].update()
    mean = container["averaging"].mean_0.clone()
    convert(container)
    averaging = container["averaging"]
    assert network[0].weight.dtype in (torch.float16, torch.bfloat16)
    assert averaging.mean_0.dtype == torch.float32
    assert torch.equal(averaging.mean_0, mean)
    for _ in range(3):
        averaging.update()
    move(network)
    penalty = averaging.penalty()
    penalty.backward()
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(numbers(network), rel=0.02)
    assert network[0].weight.grad.dtype == network[0].weight.dtype
    container.double()
    assert averaging.mean_0.dtype == torch.float64


def test_a_state_of_version_0_1_0_is_loaded(network):
    """The state has one mean for each parameter, in the network's order, and a count of steps."""
    means = [torch.zeros(2, 3), torch.zeros(2), torch.zeros(1, 2), torch.zeros(1)]
    state = {f"mean_{index}": mean for index, mean in enumerate(means)}
    file = io.BytesIO()
    torch.save({**state, "steps": torch.tensor(3)}, file)
    file.seek(0)
    averaging = HistoricalAveraging(network)
    averaging.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(4)
    assert averaging.penalty().item() == pytest.approx(16 * numbers(network))
    averaging.update()
    assert averaging.mean_0.eq(1).all()


def test_mixed_precisions_in_one_network(network):
    network[0].double()
    network[2].bfloat16()
    averaging = HistoricalAveraging(network)
    averaging.update()
    assert [mean.dtype for mean in averaging.buffers()][:4] == [
        torch.float64, torch.float64, torch.float32, torch.float32,
    ]  # fmt: skip
    move(network)
    averaging.penalty().backward()
    assert averaging.penalty().item() == pytest.approx(numbers(network), rel=0.02)
    assert network[2].bias.grad.dtype == torch.bfloat16


def test_weights_may_move_between_the_penalty_and_its_backward(network):
    averaging = HistoricalAveraging(network)
    averaging.update()
    move(network)
    penalty = averaging.penalty()
    averaging.update()
    move(network)
    penalty.backward()
    torch.testing.assert_close(network[0].bias.grad, torch.full((2,), 2.0))


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="player must hold at least one parameter, got none"):
        HistoricalAveraging([])
    with pytest.raises(ValueError, match="player must hold at least one parameter, got none"):
        HistoricalAveraging(nn.ReLU())


@pytest.mark.usefixtures("unchecked_shapes")
def test_wrong_types_are_errors():
    with pytest.raises(TypeError, match=r"player must be a module or an iterable .* got a single"):
        HistoricalAveraging(torch.zeros(3))
    with pytest.raises(TypeError, match="player must hold tensors only, got tuple at position 0"):
        HistoricalAveraging(nn.Linear(3, 2).named_parameters())
