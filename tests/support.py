"""Functions and recipes that several tests use."""

import multiprocessing
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from scipy.stats import binomtest
from torch import Tensor

from convergan.recipes.networks import ConvSettings, ImageNetSettings
from convergan.recipes.objective import ObjectiveSettings
from convergan.recipes.settings import DataSettings, OptimizerSettings, Recipe
from convergan.recipes.terms import (
    FeatureMatchingSettings,
    RealOrGeneratedSettings,
    TargetSettings,
    TermSettings,
)
from convergan.runs.manifest import Manifest, ManifestData, TrainingProcess
from convergan.runs.results import RateInterval, Results

FORMER_FOLDER = Recipe(
    name="folder",
    epochs=30,
    min_steps_per_epoch=10,
    batch_size=32,
    data=DataSettings(source="folder"),
    networks=ConvSettings(width=16, generator_width=64, data_dependent_initialization=False),
    objective=ObjectiveSettings(feature_matching=FeatureMatchingSettings(distance="absolute")),
    optimizer=OptimizerSettings(learning_rate=1e-3, decay_from=0.5),
)
"""The recipe `folder` as it was before it had arms: the paper's convolutional networks, narrow."""

FORMER: dict[str, Recipe] = {
    "folder": FORMER_FOLDER,
    **{
        name: Recipe(
            name=name,
            labels=labels,
            epochs=epochs,
            data=DataSettings(source=name),
            networks=ConvSettings(width=width),
            objective=ObjectiveSettings(
                feature_matching=FeatureMatchingSettings(distance="absolute")
            ),
            optimizer=OptimizerSettings(learning_rate=3e-4, decay_from=2 / 3),
        )
        for name, labels, epochs, width in (("cifar10", 4000, 1200, 96), ("svhn", 1000, 900, 64))
    },
    "imagenet": Recipe(
        name="imagenet",
        epochs=25,
        batch_size=64,
        data=DataSettings(source="imagenet", size_px=128),
        networks=ImageNetSettings(),
        objective=ObjectiveSettings(
            real_or_generated=RealOrGeneratedSettings(weight=1.0, positive_target=0.75),
            feature_matching=FeatureMatchingSettings(weight=0.0),
            target=TargetSettings(weight=1.0, probability=0.375),
        ),
        optimizer=OptimizerSettings(learning_rate=4e-4, epsilon=1e-8, averaging_rate=1.0),
    ),
}
"""Recipes as earlier versions had them."""

_NOBODY_ID = 65534
"""ID of a user who owns nothing."""


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let permissions bind this process, which they do not where root runs the tests."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(_NOBODY_ID)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def with_generator_term(objective: ObjectiveSettings, term: TermSettings) -> ObjectiveSettings:
    """An objective with another term in place of those that its generator has by default."""
    for disabled in (FeatureMatchingSettings(weight=0.0), TargetSettings(weight=0.0)):
        objective = objective.with_term(disabled)
    return objective.with_term(term)


def equal_states(first: Any, second: Any) -> bool:
    """Return whether two nested states hold the same values, tensors bit for bit."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            equal_states(first[key], second[key]) for key in first
        )
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(equal_states, first, second))
    return bool(first == second)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Content damaged as by a disk, a cable or an editor: in bits, blocks, its end, numbers or nesting."""
    changed = bytearray(content)
    place = chance.randrange(max(1, len(changed)))
    kind = chance.randrange(9)
    if kind == 0:
        changed[place] ^= 1 << chance.randrange(8)
    elif kind == 1:
        changed[place : place + 64] = bytes(len(changed[place : place + 64]))
    elif kind == 2:
        del changed[place:]
    elif kind == 3:
        changed[place:place] = chance.randbytes(chance.randrange(1, 9))
    elif kind == 4:
        del changed[place : place + chance.randrange(1, 30)]
    elif kind == 5:
        changed[place : place + 4] = chance.randbytes(4)
    elif kind == 6:
        tokens = [b"null", b"-1", b"NaN", b"1e999", b'"x"', b"[]", b"{}", b"true", b"1.5", b"\xff"]
        changed[place : place + chance.randrange(4)] = chance.choice(tokens)
    elif kind == 7:
        changed[:] = b"[" * 100_000 if chance.random() < 0.2 else chance.choice([b"", b"[]", b"7"])
    else:
        changed += content[:place]
    return bytes(changed)


def synced_paths(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A list to which every file and folder is added that is synced from now on."""
    synced: list[Path] = []
    sync = os.fsync

    def note(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    return synced


def results_of(
    errors: int | None = None, baseline_errors: int | None = None, size: int = 500, **fields: Any
) -> Results:
    """Results of a run with so many test errors, and of its baseline; None: not tested, no baseline."""
    untested = Results(
        recipe="digits",
        labels=100,
        seed=0,
        epochs=2,
        epoch_chosen=2,
        train_seconds=3.5,
        seconds_per_epoch=1.75,
        device="cpu, 1 thread",
        precision="32-true",
        versions={"python": "3.11"},
    )
    rates: dict[str, Any] = {}
    for name, wrong in (("test", errors), ("baseline_test", baseline_errors)):
        if wrong is not None:
            interval = binomtest(wrong, size).proportion_ci(method="wilson")
            rates |= {
                "test_size": size,
                f"{name}_errors": wrong,
                f"{name}_error_rate": wrong / size,
                f"{name}_interval": RateInterval(float(interval.low), float(interval.high)),
            }
    if baseline_errors is not None:
        rates |= {"decision": "undecided", "p_value": 0.4}
    return replace(untested, **{**rates, **fields})


def process_of() -> TrainingProcess:
    """A manifest's record of a process on a CPU."""
    return TrainingProcess(
        started="2026-11-28T08:36:54+00:00",
        command="convergan train digits",
        accelerator="cpu",
        device="cpu",
        processes=1,
        precision="32-true",
        precision_of_terms={"discriminator": "fp32"},
        versions={"torch": "2.13.0"},
        git_commit=None,
    )


def manifest_of(recipe_sha256: str | None = None, **fields: Any) -> Manifest:
    """The manifest of a run on a CPU."""
    manifest = Manifest(
        **vars(process_of()),
        recipe_sha256=recipe_sha256,
        seed=0,
        split_seed=0,
        data=ManifestData(
            source="digits",
            fingerprint="f" * 64,
            classes=["0", "1"],
            image_shape=(8, 8, 1),
            train_size=20,
            test_size=10,
            skipped=[],
        ),
        labelled=[1, 2],
        labelled_of_class=[1, 1],
        validation=[],
        held_out=[],
        folds_held_out=[],
        unlabelled_size=18,
        folds=0,
        trainings=1,
        steps=6,
        step_seconds={},
        resumed=[],
    )
    return replace(manifest, **fields)


def on_two_ranks(task: Callable[..., None], *arguments: object) -> None:
    """Call `task(rank, *arguments)` in two processes side by side.

    They are copies of one that is started once, and has loaded what takes long. The tests that call this are
    in one group, "two ranks", so in one process.
    """
    heavy = ["pytest", "scipy.stats", "torchmetrics", "torch._dynamo", "convergan.training.run"]
    multiprocessing.set_forkserver_preload(heavy)
    torch.multiprocessing.start_processes(task, arguments, nprocs=2, start_method="forkserver")
