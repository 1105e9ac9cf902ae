"""Scoring by a run's classifier, as several tests do."""

from pathlib import Path
from typing import Any

from rich.console import Console

from convergan.scoring.command import score_paths
from convergan.scoring.scores import Scores
from convergan.scoring.settings import ScoreFiles, ScoreSettings

QUICK = ScoreSettings()

DRAW_SETTINGS = ScoreSettings(count=60)
"""Settings for images that a run draws."""


def scored(run: Path, images: Path, settings: ScoreSettings = QUICK, **files: Any) -> Scores:
    score_files = ScoreFiles(**{"classifier": run, "overwrite": True, **files})
    return score_paths(images, score_files, settings, Console(quiet=True))


def value(scores: Scores, name: str) -> float:
    return scores.numbers[name].value
