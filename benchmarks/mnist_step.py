"""Claim: a training step of `mnist` takes at most 2.0 times its arithmetic, 2.5 times less than a peer's.

    python benchmarks/mnist_step.py --data DIR [--steps 40] [--threads N ...] [--device cuda] [--compile]

One step of both players, without baseline, on one thread and on as many as there are, or on N. The training
loop takes a step, then the peer (`peer_mnist`), which has a process of its own, one on images in memory, then
a large matrix product, and so on. The floor is the step's arithmetic (`operations`) at the rate of that
product. What the loop does every few hundred steps, such as drawing a new bank of noise, the median leaves
out; `mnist_epoch` has it all.
With --compile ours is compiled, on a GPU as CUDA graphs; the seconds before its first step's end are kept.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from comparison_command import add_device, print_row, results_name
from convergan.recipes.presets import PRESETS
from peer_mnist import Peer
from rows import timing, write_rows
from step_comparison import compare_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, nargs="+")
    add_device(parser)
    arguments = parser.parse_args()
    most = torch.get_num_threads()
    recipe = PRESETS["mnist"]
    recipe = replace(
        recipe,
        data=replace(recipe.data, path=arguments.data),
        hardware=replace(recipe.hardware, compile=arguments.compile),
    )
    rows = []
    for threads in arguments.threads or (
        [most] if arguments.device == "cuda" else sorted({1, most})
    ):
        torch.set_num_threads(threads)
        rows.append(
            timing(
                claim="a training step takes at most 2.0 times its arithmetic, 2.5 times less than a peer's",
                setting="mnist, 100 labels, batch 100, one step of both players, baseline off",
                peer_name="plain PyTorch (benchmarks/peer_mnist.py), images in memory",
                **compare_steps(
                    recipe,
                    None,
                    partial(Peer, device=arguments.device),
                    steps=arguments.steps,
                    device=arguments.device,
                ),
            )
        )
        print_row(rows[-1])
    print(write_rows(results_name("mnist-step", arguments), rows))


if __name__ == "__main__":
    main()
