"""Claim: the members of a small network's ensemble train faster together than one after the other.

    python benchmarks/members.py [--recipes digits mnist] [--members 10] [--steps 30] [--threads N]
        [--device cuda] [--data DIR]

It times a step of all players of all members, without baselines: each member by itself, and all members in
one computation (`JointGame`), in turn, as the training loop takes them. --data is MNIST's folder. Times are
per member.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from convergan.recipes.members import member_recipes
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.provenance import device_name
from convergan.training.computation import resolved_precision
from convergan.training.joint_game import JointGame
from convergan.training.loop import course
from convergan.training.preparation import prepare
from harness.command_line import command_parser
from harness.measure import interleaved_times
from harness.rows import timing, write_rows


def steps_apart_and_together(recipe: Recipe, device: torch.device) -> dict[str, Callable[[], None]]:
    """One step of all members, in either way; each way has trainings of its own."""
    preparation = prepare(recipe, None, processes=1, device=device)
    trainings = [
        [
            course(device, member, preparation.split.training)
            for member in member_recipes(preparation.recipe)
        ]
        for _ in range(2)
    ]
    turns = [[next(training) for training in group] for group in trainings]
    joint = JointGame(turns[1])

    def step_apart() -> None:
        for place, training in enumerate(trainings[0]):
            turn = turns[0][place]
            turns[0][place] = training.send(turn.game.step(turn.state, turn.learning_rate))

    def step_together() -> None:
        results = joint.step(turns[1])
        turns[1] = [
            training.send(result) for training, result in zip(trainings[1], results, strict=True)
        ]

    return {"ours": step_together, "apart": step_apart}


CLAIMS = {
    "digits": "ten members of `digits` train faster together",
    "mnist": "ten members of `mnist` are hardly faster together, and so are trained apart",
}
"""Claims by recipe."""


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=["digits", "mnist"])
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    rows = []
    for name in arguments.recipes:
        preset = PRESETS[name]
        recipe = replace(
            preset,
            members=arguments.members,
            baseline=False,
            epochs=1,
            # More than are timed: nothing is tested.
            steps=10**6,
            data=replace(preset.data, path=arguments.data if name == "mnist" else None),
        )
        times = interleaved_times(
            steps_apart_and_together(recipe, device), repeats=arguments.steps, device=device
        )
        member_times = {
            way: [seconds / arguments.members for seconds in values]
            for way, values in times.items()
        }
        rows.append(
            timing(
                claim=CLAIMS[name],
                setting=f"{name}, {arguments.members} members, a step of both players of one of them",
                device=device_name(device),
                precision=resolved_precision(recipe.hardware, device, recipe.networks),
                times=member_times,
                peer="apart",
                peer_name="the members one after the other",
                unit="seconds",
                repeats=arguments.steps,
            )
        )
        seconds = f"together {rows[-1]['ours']:.4g} s, apart {rows[-1]['peer']:.4g} s"
        print(f"{name}: {seconds}, {rows[-1]['times_faster']:.2f} times as fast")
    print(write_rows("members-cuda" if device.type == "cuda" else "members", rows))


if __name__ == "__main__":
    main()
