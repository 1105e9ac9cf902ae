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
    averaging = HistoricalAveraging(nn.Linear(3, 2).parameters())

    def stored():
        return {name: buffer.numel() for name, buffer in averaging.state_dict().items()}

    before = stored()
    for _ in range(100):
        averaging.update()
    assert stored() == before == {"mean_0": 6, "mean_1": 2, "steps": 1}


def test_does_not_own_the_parameters():
    network = nn.Linear(3, 2)
    network.averaging = HistoricalAveraging(network.parameters())
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

    other = nn.Linear(3, 2)
    other.load_state_dict(saved_network)
    resumed = HistoricalAveraging(other.parameters())
    resumed.load_state_dict(saved)
    run(other, resumed, 5, first=5)
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
        of_x, of_y = torch.autograd.grad(value, players)
        penalty = weight * (averagings[0].penalty() + averagings[1].penalty())
        penalty_of_x, penalty_of_y = torch.autograd.grad(penalty, players)
        with torch.no_grad():
            x.sub_(learning_rate * (of_x + penalty_of_x))
            y.sub_(learning_rate * (-of_y + penalty_of_y))
        for averaging in averagings:
            averaging.update()
    return start, distances()


def test_finds_the_equilibrium_that_gradient_descent_misses():
    _, with_averaging = play(weight=0.1, steps=4000)
    start, without = play(weight=0.0, steps=1000)
    for game in range(2):
        assert with_averaging[game].max() < 1e-2
        # Without it, it is not just slow: all starts move away, some until they overflow to nan.
        assert not (without[game] < start[game]).any()


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="parameters must hold at least one tensor, got none"):
        HistoricalAveraging([])


@pytest.mark.usefixtures("unchecked_shapes")
def test_wrong_types_are_errors():
    with pytest.raises(TypeError, match=r"parameters must be an iterable .* got a single tensor"):
        HistoricalAveraging(torch.zeros(3))
    with pytest.raises(
        TypeError, match="parameters must hold tensors only, got tuple at position 0"
    ):
        HistoricalAveraging(nn.Linear(3, 2).named_parameters())
