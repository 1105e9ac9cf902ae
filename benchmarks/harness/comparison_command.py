"""Common parts of the commands that compare a recipe with its peer."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from harness.command_line import command_parser
from harness.peers.cifar10 import cifar10_peer
from harness.peers.mnist import Peer, mnist_peer

PEERS: dict[str, Callable[..., Peer]] = {"mnist": mnist_peer, "cifar10": cifar10_peer}
"""Functions that make the peer of a recipe, given a device and whether it is small."""

SMALL: dict[str, dict[str, Any]] = {
    "mnist": {"hidden": (60, 40), "generator_hidden": (40,), "latent_size": 20},
    "cifar10": {"width": 4, "generator_width": 16},
}
"""Settings of small networks of a recipe, with the sizes of its small peer."""

SMALL_BATCH = 20

COMPILED = {"off": [False], "on": [True], "both": [False, True]}


def comparison_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all comparisons have."""
    parser = command_parser(description)
    parser.add_argument("--recipe", choices=PEERS, required=True)
    parser.add_argument("--data", type=Path, metavar="DIR", help="with parquet files")
    parser.add_argument("--threads", type=int, nargs="+", metavar="N")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", choices=COMPILED, default="off")
    parser.add_argument("--small", action="store_true", help="few units, to try the command")
    return parser


def recipes_of(arguments: argparse.Namespace) -> list[Recipe]:
    """The recipe on its images: as it is, compiled, or both."""
    recipe = PRESETS[arguments.recipe]
    if arguments.small:
        networks = replace(recipe.networks, **SMALL[recipe.name])
        recipe = replace(recipe, networks=networks, labels=20, batch_size=SMALL_BATCH)
    data = replace(recipe.data, path=arguments.data)
    return [
        replace(recipe, data=data, hardware=replace(recipe.hardware, compile=compiled))
        for compiled in COMPILED[arguments.compile]
    ]


def peer_of(arguments: argparse.Namespace) -> Callable[[], Peer]:
    """A function that makes the peer."""
    return partial(PEERS[arguments.recipe], arguments.device, small=arguments.small)


def results_name(kind: str, arguments: argparse.Namespace) -> str:
    """The name of a comparison's results; each device, and compilation, has a file of its own."""
    words = [arguments.recipe, kind]
    words += ["cuda"] if arguments.device == "cuda" else []
    words += ["compiled"] if arguments.compile == "on" else []
    return "-".join(words)


def print_row(row: dict[str, Any]) -> None:
    """Print a row in two lines."""
    low, middle, high = row["times_faster_quartiles"]
    way = ", compiled" if row["compiled"] else ""
    print(
        f"{row['device']}{way}: ours {row['ours']:.4g} s, peer {row['peer']:.4g} s,\n"
        f"  {middle:.2f} times as fast ({low:.2f} to {high:.2f}),"
        f" {row['times_floor']:.2f} times the floor of {row['floor']:.4g} s",
        flush=True,
    )
