"""Historical averaging finds an equilibrium that gradient descent misses (Section 3.3).

One player chooses x to minimize (f(x) - 1)(y - 1), the other y to maximize it, where f(x) = x for
x < 0 and x^2 otherwise. The equilibrium is (1, 1). Draws the paths of both players, without
historical averaging and with it:

    python examples/minimax_game.py --out minimax_game.png
"""

import argparse

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch

from convergan import HistoricalAveraging

STARTS = [(-1.0, 1.5), (0.5, 2.0), (1.8, 0.2)]
EQUILIBRIUM = torch.tensor([1.0, 1.0], dtype=torch.float64)


def value(x, y):
    return (torch.where(x < 0, x, x * x) - 1) * (y - 1)


def play(weight, steps, learning_rate=0.05):
    """Simultaneous gradient descent from all starts at once: the path, [steps + 1, 2, starts]."""
    starts = torch.tensor(STARTS, dtype=torch.float64).T
    x, y = (start.clone().requires_grad_() for start in starts)
    averaging_x, averaging_y = HistoricalAveraging([x]), HistoricalAveraging([y])
    path = [starts]
    for _ in range(steps):
        game = value(x, y).sum()
        (gradient_x,) = torch.autograd.grad(
            game + weight * averaging_x.penalty(), x, retain_graph=True
        )
        (gradient_y,) = torch.autograd.grad(-game + weight * averaging_y.penalty(), y)
        with torch.no_grad():
            x -= learning_rate * gradient_x
            y -= learning_rate * gradient_y
        averaging_x.update()
        averaging_y.update()
        path.append(torch.stack([x, y]).detach())
    return torch.stack(path)


def draw(axes, path, title):
    x, y = torch.meshgrid(torch.linspace(-3, 3.5, 200), torch.linspace(-2, 4, 200), indexing="xy")
    axes.contour(x, y, value(x, y), levels=torch.arange(-8, 9), colors="silver", linewidths=0.5)
    for index, colour in enumerate(("tab:blue", "tab:orange", "tab:green")):
        # Beyond the frame a path without averaging soon overflows: leave that part out.
        visible = path[:, :, index].where(path[:, :, index].abs() < 20, torch.nan)
        axes.plot(visible[:, 0], visible[:, 1], color=colour, linewidth=0.9)
        axes.plot(*visible[0], "o", color=colour, markersize=6, label=f"start {STARTS[index]}")
    axes.plot(1, 1, "*", color="black", markersize=13, label="equilibrium (1, 1)")
    axes.set(title=title, xlabel="x (minimizes)", ylabel="y (maximizes)")
    axes.set(xlim=(-3, 3.5), ylim=(-2, 4))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="minimax_game.png", help="the PNG to write")
    arguments = parser.parse_args()

    figure, panels = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", sharey=True)
    # Without averaging all paths have left the frame after a few hundred steps.
    for axes, name, weight, steps in zip(
        panels, ("without", "with"), (0.0, 0.1), (500, 4000), strict=True
    ):
        path = play(weight, steps)
        distance = (path[-1] - EQUILIBRIUM.unsqueeze(1)).norm(dim=0).max()
        print(f"{name} historical averaging: {distance:.3g} from (1, 1) after {steps} steps")
        draw(axes, path, f"{name} historical averaging, {steps} steps")
    panels[0].legend(loc="lower left", fontsize=8)
    figure.savefig(arguments.out, dpi=150)


if __name__ == "__main__":
    main()
