"""Claim: `mnist-paper` is the authors' script: an independent re-implementation errs as it does.

    python benchmarks/mnist_paper.py --data DIR [--epochs 20] [--seeds 0] [--dtype float32] [--threads N]

Both take the same steps in turn, from the same weights, on the same images and with the same random
numbers: the recipe as `train` runs it, and tests/authors, plain operations that do not use this package.
Errors of 10,000 are those of the EMA weights after each epoch. The row also has the largest difference
between two weights of the discriminators, divided by the largest weight. In float64 the two differ only by
rounding, and by what training makes of it. 20 epochs take about two hours of one core in float64, half of
that in float32. The rows are written after each epoch; rows of other seeds stay in the JSON. The
complete run is

    convergan train mnist-paper --data.path DIR --out runs/mnist-paper

with `--resume` to continue; it takes 300 epochs.
"""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from authors.mnist import Mnist
from convergan.data.batches import DeviceImages
from convergan.networks.pixels import to_network
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import Recipe
from convergan.runs.epochs import EpochRecord
from convergan.runs.provenance import device_name
from convergan.training.loop import fit
from convergan.training.observer import Silent
from convergan.training.player import Player
from convergan.training.preparation import prepare
from convergan.training.step import Game
from harness.command_line import command_parser
from harness.rows import results_path, row, write_rows
from recorded_game import HARDWARE, Recorded, in_double, record, step_alike

CPU = torch.device("cpu")


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    trainings: list[PairedTraining] = []
    path = results_path("mnist-paper")
    earlier: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []

    def write() -> None:
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for measured in [*earlier, *(training.row() for training in trainings)]:
            key = measured["setting"].rpartition(",")[0], measured["precision"]
            # A longer row is not replaced by the beginning of another.
            if key not in rows or len(measured["ours_by_epoch"]) >= len(rows[key]["ours_by_epoch"]):
                rows[key] = measured
        write_rows("mnist-paper", list(rows.values()))

    for seed in arguments.seeds:
        recipe = replace(
            PRESETS["mnist-paper"],
            seed=seed,
            epochs=arguments.epochs,
            hardware=replace(HARDWARE, threads=arguments.threads),
            data=replace(PRESETS["mnist-paper"].data, path=arguments.data),
        )
        preparation = prepare(recipe, None, processes=1)
        test = preparation.data.test
        training = PairedTraining(recipe, arguments.dtype, test.images, test.labels, write)
        trainings.append(training)
        with pytest.MonkeyPatch.context() as patched, ExitStack() as stack:
            if arguments.dtype == "float64":
                stack.enter_context(in_double())
            training.train(patched, preparation.split.training)
    print(path)


class PairedTraining(Silent):
    """The recipe's training, and each of its steps once more by the re-implementation.

    Args:
        recipe: what is trained.
        dtype: of both, for the row.
        images: for testing, uint8 [n, height, width, channels].
        labels: their classes.
        write: called after each epoch, once both were tested.
    """

    def __init__(
        self,
        recipe: Recipe,
        dtype: str,
        images: np.ndarray,
        labels: np.ndarray,
        write: Callable[[], None],
    ) -> None:
        self.recipe = recipe
        self.setting = f"mnist, {recipe.labels} labels, seed {recipe.seed}"
        self.dtype = dtype
        self.write = write
        self.images = DeviceImages(images, CPU, resident_bytes=10**9)
        self.labels = torch.as_tensor(labels)
        self.errors: dict[str, list[int]] = {"ours": [], "theirs": []}
        self.differences: list[float] = []
        self.authors: Mnist | None = None

    def row(self) -> dict[str, Any]:
        """The row of the epochs that both have had."""
        return row(
            claim="mnist-paper errs as an independent re-implementation of the authors' script",
            setting=f"{self.setting}, after epoch {len(self.differences)}",
            device=device_name(CPU),
            precision=self.dtype,
            ours=self.errors["ours"][-1],
            peer=self.errors["theirs"][-1],
            peer_name="re-implementation (tests/authors/mnist.py)",
            unit=f"errors of {len(self.labels):,}",
            repeats=1,
            ours_by_epoch=self.errors["ours"],
            peer_by_epoch=self.errors["theirs"],
            relative_difference_by_epoch=self.differences,
        )

    def train(self, patch: pytest.MonkeyPatch, data: Any) -> None:
        recorded = record(patch)
        step = Game.step

        def paired_step(game: Game, state: Any, rate: float) -> Any:
            if self.authors is None:
                self.authors = re_implementation(game, recorded)
            recorded.clear()
            result = step(game, state, rate)
            step_alike(recorded, self.authors, 1, "squared", rate)
            return result

        patch.setattr(Game, "step", paired_step)
        fit(CPU, self.recipe, data, observer=self)

    def epoch_ended(self, record: EpochRecord, players: Mapping[str, Player]) -> None:
        """Test both; see `Observer`."""
        assert self.authors is not None
        player = players["discriminator"]
        tested = player.tested.eval()
        judges = {
            "ours": lambda pixels: tested(pixels).logits,
            "theirs": self.authors.judged_by_average,
        }
        predictions = {name: self._classes(judge) for name, judge in judges.items()}
        for name, classes in predictions.items():
            self.errors[name].append(int((classes != self.labels).sum()))
        weights = [
            layer.weight.detach().T for layer in (*player.network.hidden, player.network.output)
        ]
        differences = [
            float((weight - authors_weight.detach()).abs().max() / weight.abs().max())
            for weight, authors_weight in zip(weights, self.authors.thetas, strict=True)
        ]
        self.differences.append(max(differences))
        print(
            f"epoch {record.epoch}: ours {self.errors['ours'][-1]}, theirs"
            f" {self.errors['theirs'][-1]}, weights apart by {self.differences[-1]:.2g}",
            flush=True,
        )
        self.write()

    @torch.no_grad()
    def _classes(self, judge: Callable[[Tensor], Tensor]) -> Tensor:
        """The class of each image, by logits for pixels in torch's default precision."""
        parts = []
        for indices in torch.arange(len(self.labels)).split(1000):
            pixels = to_network(self.images.gather(indices.numpy()), (0.0, 1.0))
            parts.append(judge(pixels.to(torch.get_default_dtype())).argmax(dim=1))
        return torch.cat(parts)


def re_implementation(game: Game, recorded: Recorded) -> Mnist:
    """The authors' players with the weights that a game starts from, initialized from the same images."""
    discriminator: Any = game.players["discriminator"].network
    generator: Any = game.players["generator"].network
    layers = [*discriminator.hidden, discriminator.output]
    authors = Mnist(
        {f"theta{k}": layer.weight.detach().T for k, layer in enumerate(layers)},
        {f"W{k}": layer.weight.detach().T for k, layer in enumerate(generator.layers[0::3])},
    )
    authors.initialize(recorded.initialization_inputs[0], recorded.passes[0])
    return authors


if __name__ == "__main__":
    main()
