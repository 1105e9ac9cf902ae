"""The kinds of file that are damaged: each is made by the program or as it expects it, and read by it."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import datasets
import numpy as np
import torch
from PIL import Image
from rich.console import Console

from convergan.data.hub_files import chosen_configuration, files_of_declared, read_card
from convergan.data.image_set import DataSet, data_set_from_arrays
from convergan.data.image_stream import open_image_stream
from convergan.data.source import open_data_set
from convergan.images.decode import Unreadable
from convergan.images.sizes import Sizes
from convergan.metrics.frechet import gaussian_statistics
from convergan.metrics.metric import Embedded, Estimate
from convergan.metrics.reference_statistics import is_statistics, read_statistics, write_statistics
from convergan.recipes.files import read_recipe, recipe_to_dict, recipe_to_yaml
from convergan.recipes.networks import MLPSettings
from convergan.recipes.presets import PRESETS
from convergan.recipes.settings import DataSettings, OptimizerSettings, Recipe
from convergan.runs.checkpoints import load_newest_checkpoint
from convergan.runs.model import load_classifier, load_generator
from convergan.runs.results import Results
from convergan.scoring.features import is_features, read_features, write_features
from convergan.scoring.table import read_scores, scores_as_dict
from convergan.statistics.intervals import Interval
from convergan.training import run_models
from convergan.training.checkpointing import Interrupted
from convergan.training.recorder import Recorder
from convergan.training.run import RunOptions, train
from fuzz.mutations import (
    DAMAGES,
    change_a_json_line,
    change_arrays,
    change_cells,
    change_columns,
    change_json,
    change_yaml,
)
from fuzz.trials import Kind

datasets.disable_progress_bars()

_QUIET = Console(quiet=True)

SIZES = Sizes((8, 8), (16, 16))


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _hash(*arrays: Any) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


# Images


def _make_images(folder: Path, suffix: str, **options: Any) -> None:
    for number in range(3):
        path = folder / "images" / "ab"[number % 2] / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_noise(20, 30, 3, seed=number)).save(path, **options)


def _open(folder: Path, **settings: Any) -> Any:
    data = open_data_set(DataSettings(path=folder / "images", cache=folder / "cache", **settings))
    sets = [data.train] if data.test is None else [data.train, data.test]
    return [
        (_hash(np.array(part.images), part.labels), list(part.names)) for part in sets
    ], data.classes


def _make_table(folder: Path) -> None:
    _make_images(folder, ".png")
    rows = ["file_name,label,split", "a/0.png,x,train", "b/1.png,y,test", "a/2.png,y,train"]
    (folder / "images" / "metadata.csv").write_text("\n".join(rows))


def _make_parquet(folder: Path) -> None:
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    images = [Image.fromarray(_noise(8, 8, 3, seed=row)) for row in range(6)]
    (folder / "images").mkdir()
    for split, part in (("train", images[:4]), ("test", images[4:])):
        rows = {"image": part, "label": [row % 2 for row in range(len(part))]}
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(folder / "images" / f"{split}.parquet")


def _make_card(folder: Path) -> None:
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: a\n  default: true\n  data_files:\n  - split: train\n"
        "    path: data/train-*\n  - split: test\n    path: [data/test-0.parquet]\n"
        "- config_name: b\n  data_dir: data\n---\n# A data set\n"
    )


def _card(folder: Path) -> Any:
    text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    configurations, default = read_card("some/one", text)
    if not configurations:
        return None
    configuration = chosen_configuration("some/one", configurations, None, default)
    names = ["README.md", "data/train-0.parquet", "data/train-1.parquet", "data/test-0.parquet"]
    return files_of_declared("some/one", names, configurations[configuration])


# Arrays, statistics, scores


def _make_array(folder: Path, name: str) -> None:
    save: Callable[..., None] = np.save if name.endswith(".npy") else np.savez
    save(folder / name, _noise(4, 8, 8, 3))


def _stream(folder: Path, name: str) -> Any:
    stream = open_image_stream(folder / name)
    decoded = stream.decoded(3, None, slice(None))
    return [str(image) if isinstance(image, Unreadable) else _hash(image) for image in decoded]


def _make_statistics(folder: Path) -> None:
    features = torch.from_numpy(_noise(20, 6)).float()
    write_statistics(
        folder / "reference.npz", gaussian_statistics(features), "inception abc", SIZES
    )


def _statistics(folder: Path) -> Any:
    path = folder / "reference.npz"
    # `score` asks first what it is.
    is_statistics(path)
    statistics, network, sizes = read_statistics(path)
    return _hash(statistics.mean, statistics.covariance), statistics.count, network, sizes


def _make_features(folder: Path) -> None:
    features, logits = (torch.from_numpy(_noise(20, size)).float() for size in (6, 3))
    fingerprint = {"network": "inception abc", "precision": "fp32"}
    write_features(folder / "features.npz", Embedded(features, logits), fingerprint, "abc", SIZES)


def _features(folder: Path) -> Any:
    path = folder / "features.npz"
    # `score` asks first what it is.
    is_features(path)
    saved = read_features(path)
    hashes = _hash(saved.images.features, saved.images.logits)
    return hashes, saved.fingerprint, saved.sha256, saved.sizes


def _make_scores(folder: Path) -> None:
    estimates = [
        Estimate(name, 1.5, Interval(1.0, 2.0), "delta method", 0.5) for name in ("FID", "KID")
    ]
    fingerprint = {"metric": "fid", "count": 3, "versions": {"torch": "2"}}
    entries = scores_as_dict(
        [("fid", estimate) for estimate in estimates], [], {"fid": fingerprint}
    )
    content = {"images": {"place": "some", "count": 3}, "scores": entries}
    (folder / "scores.json").write_text(json.dumps(content, indent=2))


def _scores(folder: Path) -> Any:
    earlier = read_scores(folder / "scores.json")
    for estimate, _ in earlier.numbers.values():
        # As the table and the comparison use them.
        f"{estimate.name} {estimate.value:.3f} {estimate.method} {estimate.stdev or 0:.3f}"
        if estimate.interval is not None:
            f"{estimate.interval.low - estimate.interval.high:.3f}"
    return earlier


def _make_recipe(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(recipe_to_yaml(PRESETS["folder"]))


# Runs

_STEPS = 4
"""Steps of an epoch."""


@cache
def _recipe() -> Recipe:
    return replace(
        PRESETS["digits"],
        epochs=2,
        labels=None,
        batch_size=10,
        min_steps_per_epoch=_STEPS,
        optimizer=OptimizerSettings(),
        networks=MLPSettings(hidden=(12, 8), generator_hidden=(8,), latent_size=4),
    )


@cache
def _data() -> DataSet:
    images, labels = _noise(60, 8, 8), np.arange(60) % 2
    return data_set_from_arrays(images[:40], labels[:40], images[40:], labels[40:])


def _train(folder: Path, stop: int | None = None) -> Any:
    """Continue a run to its end, or until `stop` steps are done, as if Ctrl-C had ended it."""
    done = 0

    def count(self: Recorder, steps: int, total: int) -> None:
        nonlocal done
        done = steps

    @contextmanager
    def stop_on_signals() -> Iterator[Callable[[], bool]]:
        yield lambda: stop is not None and done >= stop

    torch.set_num_threads(1)
    options = RunOptions(resume=True, checkpoint_every_seconds=0)
    with (
        patch.object(run_models, "stop_on_signals", stop_on_signals),
        patch.object(Recorder, "steps_done", count),
    ):
        return train(_recipe(), folder / "run", data=_data(), options=options, console=_QUIET)


def _make_interrupted(folder: Path) -> None:
    """A run in the midst of its second epoch, with two checkpoints."""
    with suppress(Interrupted):
        _train(folder, _STEPS + 2)


def _resume(folder: Path) -> Any:
    """The state some steps later: of weights, optimizers, averages, random numbers."""
    with suppress(Interrupted):
        _train(folder, _STEPS + 3)
    checkpoint = load_newest_checkpoint(folder / "run" / "checkpoints")
    assert checkpoint is not None
    # Times differ, and what is said of a checkpoint that was passed over.
    state = {
        key: value
        for key, value in checkpoint[1].items()
        if "seconds" not in key and "warnings" not in key
    }
    return sorted(_flat(state, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from _flat(part, f"{name}.{place}")
    else:
        yield name, _hash(value) if isinstance(value, torch.Tensor) else repr(value)


@cache
def _finished() -> dict[str, bytes]:
    """The files of a finished run: many kinds of file are in one."""
    with tempfile.TemporaryDirectory() as name:
        _train(Path(name))
        files = [path for path in Path(name).rglob("*") if path.is_file()]
        return {
            path.relative_to(name).as_posix(): path.read_bytes()
            for path in files
            if path.suffix != ".html"
        }


def _make_finished(folder: Path, *, but: str | None = None) -> None:
    for name, content in _finished().items():
        if name != but:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def _finish(folder: Path) -> Any:
    """Tests and reports anew what is trained already."""
    return _timeless(_train(folder))


def _timeless(results: Results) -> Any:
    return {key: value for key, value in results.as_json().items() if "second" not in key}


def _predict(folder: Path) -> Any:
    classifier = load_classifier(folder / "run")
    torch.manual_seed(0)
    with torch.no_grad():
        outputs = classifier.network(torch.linspace(-1, 1, 5 * 64).reshape(5, 1, 8, 8))
    return classifier.classes, _hash(
        *(output for output in outputs if isinstance(output, torch.Tensor))
    )


def _sample(folder: Path) -> Any:
    network = load_generator(folder / "run")
    torch.manual_seed(0)
    with torch.no_grad():
        return _hash(network(network.latent(5, "cpu")))


def _make_store(folder: Path) -> None:
    _make_images(folder, ".png")
    for path in (folder / "images").rglob("*.png"):
        # The store is that of files with this time, which not every system copies to the nanosecond.
        os.utime(path, (0, 0))
    _open(folder)


_REST_OF_RUN = partial(_make_finished, but="run/results.json")

KINDS: tuple[Kind, ...] = (
    *(
        Kind(
            f"{suffix} image",
            partial(_make_images, suffix=suffix, **options),
            f"images/b/1{suffix}",
            _open,
            DAMAGES,
            # No other format has checksums of its pixels.
            exact=suffix == ".png",
        )
        for suffix, options in (
            (".png", {}),
            (".jpg", {}),
            (".gif", {}),
            (".bmp", {}),
            (".webp", {}),
            (".tif", {"compression": "tiff_lzw"}),
            (".ppm", {}),
        )
    ),
    Kind(
        "metadata.csv",
        _make_table,
        "images/metadata.csv",
        _open,
        (*DAMAGES, *4 * (change_cells,)),
    ),
    Kind(
        "parquet",
        _make_parquet,
        "images/train.parquet",
        _open,
        (*DAMAGES, *4 * (change_columns,)),
    ),
    Kind("README.md of the hub", _make_card, "README.md", _card, DAMAGES),
    Kind(
        "recipe.yaml",
        _make_recipe,
        "recipe.yaml",
        lambda folder: recipe_to_dict(read_recipe(folder / "recipe.yaml")),
        (*DAMAGES, *8 * (change_yaml,)),
    ),
    Kind(
        ".npy of images",
        partial(_make_array, name="a.npy"),
        "a.npy",
        partial(_stream, name="a.npy"),
        (*DAMAGES, *3 * (change_arrays,)),
    ),
    Kind(
        ".npz of images",
        partial(_make_array, name="a.npz"),
        "a.npz",
        partial(_stream, name="a.npz"),
        DAMAGES,
        exact=True,
    ),
    Kind(
        ".npz of other arrays",
        partial(_make_array, name="a.npz"),
        "a.npz",
        partial(_stream, name="a.npz"),
        (change_arrays,),
    ),
    Kind("statistics .npz", _make_statistics, "reference.npz", _statistics, DAMAGES, exact=True),
    Kind(
        "statistics .npz of other arrays",
        _make_statistics,
        "reference.npz",
        _statistics,
        (change_arrays,),
    ),
    Kind("features .npz", _make_features, "features.npz", _features, DAMAGES, exact=True),
    Kind(
        "features .npz of other arrays",
        _make_features,
        "features.npz",
        _features,
        (change_arrays,),
    ),
    Kind("score JSON", _make_scores, "scores.json", _scores, (*DAMAGES, *8 * (change_json,))),
    Kind(
        "pixels of a store in memory",
        _make_store,
        "cache/*/pixels.u8",
        _open,
        DAMAGES,
        exact=True,
    ),
    *(
        Kind(
            f"{file} of a store on the disk",
            _make_store,
            f"cache/*/{file}",
            partial(_open, resident_mb=0),
            damages,
            exact=True,
        )
        for file, damages in (
            ("pixels.u8", DAMAGES),
            ("digests", DAMAGES),
            ("index.json", (*DAMAGES, *6 * (change_json,))),
        )
    ),
    Kind(
        "checkpoint, resumed",
        _make_interrupted,
        f"run/checkpoints/step-{_STEPS + 2:09d}.safetensors",
        _resume,
        DAMAGES,
        exact=True,
    ),
    Kind(
        "recipe.yaml, resumed",
        _make_interrupted,
        "run/recipe.yaml",
        _resume,
        (*DAMAGES, *4 * (change_yaml,)),
        exact=True,
    ),
    Kind(
        "manifest.json, resumed",
        _REST_OF_RUN,
        "run/manifest.json",
        _finish,
        (*DAMAGES, *6 * (change_json,)),
        exact=True,
    ),
    Kind(
        "metrics.jsonl, resumed",
        _REST_OF_RUN,
        "run/metrics.jsonl",
        _finish,
        (*DAMAGES, *6 * (change_a_json_line,)),
        exact=True,
    ),
    Kind(
        "results.json",
        _make_finished,
        "run/results.json",
        _finish,
        (*DAMAGES, *6 * (change_json,)),
    ),
    Kind(
        "config.json",
        _make_finished,
        "run/model/config.json",
        _predict,
        (*DAMAGES, *6 * (change_json,)),
        exact=True,
    ),
    Kind(
        "classifier.safetensors",
        _make_finished,
        "run/model/classifier.safetensors",
        _predict,
        DAMAGES,
        exact=True,
    ),
    Kind(
        "generator.safetensors",
        _make_finished,
        "run/model/generator.safetensors",
        _sample,
        DAMAGES,
        exact=True,
    ),
)
