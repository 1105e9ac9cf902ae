"""Epochs of a recipe's peer, kept after each: a training of hours continues where it was interrupted."""

from pathlib import Path

import torch

from convergan.files import make_folder, written_aside
from harness.epochs_in_turn import PeersEpochs


class KeptEpochs:
    """Training of a peer whose state is written after each epoch.

    Args:
        peer: epochs of the peer.
        folder: folder of the state.
    """

    def __init__(self, peer: PeersEpochs, folder: Path) -> None:
        make_folder(folder)
        self.peer, self.path = peer, folder / "peer.pt"
        self.seconds: list[float] = []
        self.errors: list[int] = []
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.seconds, self.errors = state.pop("seconds"), state.pop("errors")
            peer.peer.load_state_dict(state)
            # Not the first epoch's orders and noise again.
            torch.manual_seed(len(self.errors))

    def train(self, epochs: int, target_errors: float) -> None:
        """Train up to so many epochs, or until the errors after one are at most the target."""
        while len(self.errors) < epochs and min(self.errors, default=10**9) > target_errors:
            seconds, errors = self.peer.run()
            self.seconds.append(seconds)
            self.errors.append(errors)
            print(f"peer, epoch {len(self.errors)}: {seconds:.1f} s, {errors} errors", flush=True)
            with written_aside(self.path) as state_file:
                state = {"seconds": self.seconds, "errors": self.errors}
                torch.save({**state, **self.peer.peer.state_dict()}, state_file)
