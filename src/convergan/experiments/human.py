"""Inception scores compared with how often people are fooled, model by model, given a study (Section 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from pydantic import TypeAdapter

from convergan.errors import UserError, first_of
from convergan.experiments.summary import Summary
from convergan.json_files import read_json_as
from convergan.page.figure_file import write_figure
from convergan.page.words import chance
from convergan.statistics.correlation import Correlation, rank_correlation

FEWEST_MODELS = 3
"""Smallest number of models to rank."""

_RATE = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class _ImageSet:
    name: str
    participants: int
    error_on_generated: _RATE | None


@dataclass(frozen=True, kw_only=True)
class Study:
    """The report of a study, as far as scores are compared with it."""

    image_sets: tuple[_ImageSet, ...]
    place: str = ""
    """File that the report was read from."""


_REPORT = TypeAdapter(Study)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A model that was scored and that people judged."""

    name: str
    score: float
    """Inception score."""

    fooled: float
    """Share of its images that were taken for real, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of scores and people in ranking the same models."""

    models: tuple[Judged, ...]
    correlation: Correlation | None

    @property
    def in_words(self) -> str:
        """A line: the correlation, its interval or why there is none, and the number of models."""
        correlation = self.correlation
        count = len(self.models)
        if correlation is None:
            return f"no rank correlation: all {count} models have the same score, or the same rate"
        if correlation.interval is None:
            interval = "no interval below 10 models"
        else:
            interval = (
                f"95 % interval {correlation.interval.low:.2f} to {correlation.interval.high:.2f}"
            )
        return (
            f"how people and the Inception score rank {count} models: Spearman's correlation"
            f" {correlation.rho:.2f} (1: alike, -1: in reverse), {interval}, p {chance(correlation.p_value)}"
        )


def read_study(report: Path) -> Study:
    """Read what `convergan study report --json` wrote.

    Raises:
        UserError: the file is not such a report.
    """
    study = read_json_as(report, _REPORT, "the JSON of a study's report")
    return replace(study, place=str(report))


def agreement(summaries: Sequence[Summary], study: Study) -> Agreement:
    """The models of a table that a study has judged, and how the two rankings agree.

    Args:
        summaries: numbers of a table of Inception scores.
        study: report whose sets of images have the names of recipes.

    Raises:
        UserError: fewer than three of its sets are models with a score.
    """
    fooled = {images.name: images.error_on_generated for images in study.image_sets}
    scores = _scores(summaries)
    models = tuple(
        Judged(name=name, score=scores[name], fooled=rate)
        for name, rate in fooled.items()
        if name in scores and rate is not None
    )
    if len(models) < FEWEST_MODELS:
        scored = first_of(scores) or "none"
        raise UserError(
            f"study: expected a report on at least {FEWEST_MODELS} sets of images with the names of recipes"
            f" that are scored ({scored}), got {len(models)} in {study.place} ({first_of(fooled) or 'none'})"
        )
    correlation = rank_correlation(
        np.array([model.score for model in models]),
        np.array([model.fooled for model in models]),
        np.random.default_rng(0),
    )
    return Agreement(models=models, correlation=correlation)


def _scores(summaries: Sequence[Summary]) -> Mapping[str, float]:
    return {
        summary.entry.cells[0].recipe.name: summary.number.mean
        for summary in summaries
        if summary.number is not None and summary.entry.cells[0].needs
    }


def write_scatter(path: Path, result: Agreement) -> None:
    """Draw a point for each model: its Inception score, and how often people took its images for real."""

    def draw(axes: Any) -> None:
        for model in result.models:
            axes.plot(model.score, 100 * model.fooled, "o", color="C0")
            axes.annotate(
                model.name,
                (model.score, 100 * model.fooled),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=8,
            )
        axes.set_xlabel("Inception score")
        axes.set_ylabel("taken for real, %")
        axes.margins(x=0.2)
        axes.set_ylim(bottom=0)
        if result.correlation is not None:
            axes.set_title(
                f"rank correlation {result.correlation.rho:.2f}", fontsize=10, loc="left"
            )

    write_figure(path, draw)
