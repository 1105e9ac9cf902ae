"""Callbacks of a run: they count test errors, write metrics.jsonl and sample grids, and show progress."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from convergan.data.batches import DeviceImages
from convergan.data.test_set import TestSet
from convergan.networks.interface import Discriminator, Generator
from convergan.networks.pixels import to_uint8
from convergan.page.images import write_sample_grid
from convergan.runs.epochs import EpochLine, EpochRecord, HealthWarning
from convergan.runs.folder import RunFolder
from convergan.runs.metrics import append_metrics, keep_metrics
from convergan.training.classify import predicted_classes
from convergan.training.health import METRICS
from convergan.training.player import Player
from convergan.training.samples import fixed_samples
from convergan.training.tensorboard import ScalarLogger

GRID_IMAGES = 100
GRIDS = 10
"""Largest number of sample grids of a run, including that of the last epoch."""


class Display(Protocol):
    """Display of one training; see `TrainingProgress`."""

    def begins_after(self, epochs_done: int) -> None:
        """Show that the training begins, or is resumed."""

    def steps_done(self, done: int, total: int) -> None:
        """Show the number of steps done."""

    def epoch_ended(self, line: EpochLine) -> None:
        """Show the numbers of an epoch."""

    def warn(self, warning: HealthWarning) -> None:
        """Show a warning."""


class Recorder:
    """Callbacks that record a run. Test images are used only here, and after training."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        test: TestSet | None,
        epochs: int,
        seed: int,
        device: torch.device,
        resident_bytes: int,
        progress: Display,
        logger: ScalarLogger | None,
    ) -> None:
        self.folder = folder
        self.test = test
        self.epochs = epochs
        self.seed = seed
        self.progress = progress
        self.logger = logger
        self._shown_warnings: set[HealthWarning] = set()
        self._metrics_warnings: list[HealthWarning] = []
        """Warnings about metrics.jsonl itself, to be written with its next line."""
        if test is not None:
            self._images = DeviceImages(test.images, device, resident_bytes=resident_bytes)

    def steps_done(self, done: int, total: int) -> None:
        """See `Observer`."""
        self.progress.steps_done(done, total)

    def begins_after(self, epochs_done: int, warning: HealthWarning | None) -> None:
        """See `Observer`."""
        problem = keep_metrics(self.folder.metrics, epochs_done).problem
        if problem is not None:
            metrics_warning = HealthWarning(
                epochs_done + 1,
                METRICS,
                problem,
                "the other lines are kept; training is not affected",
            )
            self._metrics_warnings.append(metrics_warning)
            self._show_once(metrics_warning)
        self.progress.begins_after(epochs_done)
        if warning is not None:
            self._show_once(warning)

    def epoch_ended(self, record: EpochRecord, players: Mapping[str, Player]) -> None:
        """See `Observer`."""
        warnings = [*self._metrics_warnings, *record.warnings]
        self._metrics_warnings = []
        for warning in warnings:
            self._show_once(warning)
        line = EpochLine(**vars(replace(record, warnings=warnings)))
        if self.test is not None:
            classifier, baseline = players["discriminator"], players.get("baseline")
            line = replace(
                line,
                test_size=len(self.test),
                test_errors=self._test_errors(classifier.tested),
                raw_test_errors=self._test_errors(classifier.network),
                baseline_test_errors=None
                if baseline is None
                else self._test_errors(baseline.tested),
            )
        append_metrics(self.folder.metrics, line)
        # Evenly over the run, and after its last epoch.
        grids_due = record.epoch * GRIDS // self.epochs > (record.epoch - 1) * GRIDS // self.epochs
        if grids_due and "generator" in players:
            self._write_samples(record.epoch, players["generator"].tested)
        if self.logger is not None:
            self.logger.log(line)
        self.progress.epoch_ended(line)

    def _show_once(self, warning: HealthWarning) -> None:
        """Show a warning, unless it has been shown before."""
        if warning not in self._shown_warnings:
            self._shown_warnings.add(warning)
            self.progress.warn(warning)

    def _test_errors(self, network: Discriminator) -> int:
        assert self.test is not None
        predicted = predicted_classes(network, self._images, np.arange(len(self.test)))
        return self.test.count_errors(predicted)

    def _write_samples(self, epoch: int, generator: Generator) -> None:
        self.folder.samples.mkdir(exist_ok=True)
        samples = fixed_samples(generator, GRID_IMAGES, self.seed)
        write_sample_grid(
            self.folder.samples / f"epoch-{epoch:04d}.png",
            to_uint8(samples, generator.pixel_range).cpu().numpy(),
        )
