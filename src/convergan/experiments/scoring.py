"""The Inception score of a run's samples, or of real images, as in Table 3, and the time that it takes."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from convergan.data.image_stream import stream_of_array
from convergan.data.source import open_data_set
from convergan.experiments.store import write_outcome
from convergan.metrics.inception import InceptionNetwork
from convergan.recipes.settings import Recipe
from convergan.runs.folder import RunFolder
from convergan.runs.provenance import git_commit, versions
from convergan.runs.results import Results
from convergan.scoring.embedding import Embedding, embed
from convergan.scoring.protocol import network_name
from convergan.scoring.score import score
from convergan.scoring.settings import DEFAULT_COUNT, ScoreSettings

_TIMED_BATCHES = 2


def expected_scoring_seconds(recipe: Recipe, settings: ScoreSettings, *, real: bool) -> float:
    """The expected time that the Inception network takes for the images of a score, from timed batches.

    Drawing samples, and the score itself, take little beside the network. The weights do not matter for its
    speed: they are random.

    Args:
        recipe: recipe of the generator, or of the images that are scored.
        settings: settings of the score.
        real: the training images are scored, all of them.

    Raises:
        UserError: the images cannot be opened.
    """
    count = settings.count or DEFAULT_COUNT
    if real:
        count = len(open_data_set(recipe.data).train.images)
    embedding = Embedding(
        InceptionNetwork(),
        channels=3,
        size=None,
        classes=(),
        fingerprint={},
        precision=settings.precision,
    )
    images = np.zeros((_TIMED_BATCHES * embedding.batch_size, 32, 32, 3), dtype=np.uint8)
    # The first batch is slower than all others.
    embed(embedding, stream_of_array("images", images[: embedding.batch_size]))
    return count / embed(embedding, stream_of_array("images", images)).images_per_second


def score_samples(
    recipe: Recipe,
    folder: Path,
    *,
    run: Path | None,
    settings: ScoreSettings,
    weights: Path | None,
    sha256: str,
) -> None:
    """Write the results.json of a score.

    Args:
        recipe: recipe of the generator, or of the images that are scored.
        folder: folder of the score.
        run: the run whose generator draws the samples; None: the training images are scored.
        settings: settings of the score.
        weights: weights of the Inception network; None: from the cache, or downloaded.
        sha256: hash of the settings that decide the result.

    Raises:
        UserError: the run is not finished, or the network cannot be had.
    """
    trained: Results | None = None
    commits: list[str | None] = []
    if run is None:
        data = open_data_set(recipe.data)
        fingerprint = data.fingerprint
        settings = replace(settings, count=None)
        scores = score(data.train.images[:], settings=settings, weights=weights)
    else:
        trained = RunFolder(run).read_results()
        manifest = RunFolder(run).read_manifest()
        fingerprint = manifest.data.fingerprint
        commits = [process.git_commit for process in (manifest, *manifest.resumed)]
        scores = score(run, settings=settings, weights=weights)
    number = scores.numbers["Inception score"]
    interval = number.interval
    write_outcome(
        folder,
        {
            "recipe": recipe.name,
            "labels": None if trained is None else trained.labels,
            "seed": recipe.seed,
            "epochs": None if trained is None else trained.epochs,
            "score": number.value,
            "stdev": number.stdev,
            "interval": None if interval is None else [interval.low, interval.high],
            "images": scores.sets["images"].count,
            "train_seconds": None if trained is None else trained.train_seconds,
            "device": None if trained is None else trained.device,
            "precision": None if trained is None else trained.precision,
            "versions": versions(),
            "git_commit": git_commit(),
            "sha256": sha256,
            "data_fingerprint": fingerprint,
            "network": network_name(scores.embedding),
            "trained_at_commits": [*dict.fromkeys(filter(None, commits))],
        },
    )
