"""Epochs of a recipe and of its peer, kept after each: what takes hours goes on where it was interrupted."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from convergan.files import write_text, written_aside
from convergan.json_files import json_line, read_json, write_json
from convergan.recipes.settings import Recipe
from convergan.runs.provenance import device_name
from convergan.training.computation import resolved_precision
from epochs_in_turn import PeersEpochs
from rows import GIT_COMMIT

OURS, PEER = "ours", "peer"


def conditions(
    path: Path, recipe: Recipe, decide: Callable[[], dict[str, Any]], *, trains: bool = True
) -> dict[str, Any]:
    """How a run computes, kept in a file by the first process and required of the others.

    Args:
        path: of the file.
        recipe: ours.
        decide: gives what else the first process decides.
        trains: whether this process is to train, and its commit to be kept: not if it only makes the row.
    """
    cpu = torch.device("cpu")
    now = {"device": device_name(cpu), "precision": resolved_precision(recipe.hardware, cpu)}
    if path.exists():
        found = read_json(path)
        for name, value in now.items():
            if found[name] != value:
                raise SystemExit(f"{path}: expected {name} {found[name]} as before, got {value}")
    else:
        found = {**now, **decide(), "trained_at_commits": []}
    if trains and GIT_COMMIT not in found["trained_at_commits"]:
        found["trained_at_commits"].append(GIT_COMMIT)
    write_json(path, found)
    return found


class Ledger:
    """The epochs of both sides so far, in a file.

    A line: {"side", "epoch", "seconds", "error_rate", "resumed"}; resumed is the first epoch of a side in a
    process that is not the first.
    """

    def __init__(self, path: Path, target: float, epochs: int) -> None:
        self.path, self.target, self.epochs = path, target, epochs
        self.lines: list[dict[str, Any]] = []
        self._resumed = set[str]()
        if path.exists():
            self.lines = [
                json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
            ]
            self._resumed = {OURS, PEER}
        # Also a process that ends within its first epoch was the first.
        self._write()

    def of(self, side: str) -> list[dict[str, Any]]:
        """The epochs of one side."""
        return [line for line in self.lines if line["side"] == side]

    def add(self, side: str, epoch: int, seconds: float, error_rate: float) -> None:
        """Notes one epoch."""
        self.lines.append(
            {
                "side": side,
                "epoch": epoch,
                "seconds": seconds,
                "error_rate": error_rate,
                "resumed": side in self._resumed,
            }
        )
        self._resumed.discard(side)
        self._write()
        print(f"{side}, epoch {epoch}: {seconds:.1f} s, error {error_rate:.2%}", flush=True)

    def seconds(self, side: str) -> list[float]:
        """Of each epoch; the median of the others where it was resumed."""
        lines = self.of(side)
        whole = [line["seconds"] for line in lines if not line["resumed"]]
        return [median(whole) if line["resumed"] and whole else line["seconds"] for line in lines]

    def keep(self, side: str, epochs: int) -> None:
        """Drops what a side did after so many epochs: it will be done again."""
        self.lines = [
            line for line in self.lines if line["side"] != side or line["epoch"] <= epochs
        ]
        self._write()

    def is_done(self, side: str) -> bool:
        """Whether a side has come to the target, or has had its epochs."""
        lines = self.of(side)
        return len(lines) >= self.epochs or any(line["error_rate"] <= self.target for line in lines)

    def summary(self, side: str, start: float) -> dict[str, Any]:
        """When a side came to the target, and how well it did."""
        lines = self.of(side)
        reached = [line["epoch"] for line in lines if line["error_rate"] <= self.target]
        seconds = self.seconds(side)
        return {
            "seconds": start + sum(seconds[: reached[0]]) if reached else None,
            "epoch_reached": reached[0] if reached else None,
            "start_seconds": start,
            "seconds_by_epoch": [round(each, 2) for each in seconds],
            "resumed_epochs": [line["epoch"] for line in lines if line["resumed"]],
            "best_error_rate": min(line["error_rate"] for line in lines),
            "error_rate_by_epoch": [line["error_rate"] for line in lines],
        }

    def _write(self) -> None:
        write_text(self.path, "".join(json_line(line) + "\n" for line in self.lines))


class PeersRun:
    """The peer's epochs, kept after each so that they can go on."""

    def __init__(self, peers: PeersEpochs, ledger: Ledger, path: Path, test_size: int) -> None:
        self.peers, self.ledger, self.path, self.test_size = peers, ledger, path, test_size
        self.epochs = 0
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.epochs = state.pop("epochs")
            peers.peer.load_state_dict(state)
            # Not the first epoch's orders and noise again.
            torch.manual_seed(self.epochs)
        ledger.keep(PEER, self.epochs)

    def go_on(self, epochs: int) -> None:
        """Trains up to so many epochs, or until it is done."""
        while self.epochs < epochs and not self.ledger.is_done(PEER):
            seconds, errors = self.peers.run()
            self.epochs += 1
            self.ledger.add(PEER, self.epochs, seconds, errors / self.test_size)
            with written_aside(self.path) as aside:
                torch.save({"epochs": self.epochs, **self.peers.peer.state_dict()}, aside)
