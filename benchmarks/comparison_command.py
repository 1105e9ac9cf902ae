"""What the commands that compare a recipe with its peer have in common."""

import argparse
from typing import Any


def add_device(parser: argparse.ArgumentParser) -> None:
    """The arguments of a comparison of steps that say how it computes."""
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", action="store_true")


def results_name(benchmark: str, arguments: argparse.Namespace) -> str:
    """The name of a comparison's results: each way to compute has a file of its own."""
    return "-".join(
        [
            benchmark,
            *(["cuda"] if arguments.device == "cuda" else []),
            *(["compiled"] if arguments.compile else []),
        ]
    )


def print_row(row: dict[str, Any]) -> None:
    """One line for the terminal."""
    print(
        f"{row['device']}: ours {row['ours']:.4g} s, {row['times_floor']:.2f} times the floor of"
        f" {row['floor']:.4g} s; peer {row['peer']:.4g} s, ours {row['times_faster']:.2f} times as fast"
        f" (quartiles {row['times_faster_quartiles'][0]:.2f} to {row['times_faster_quartiles'][2]:.2f})"
    )
