"""Two studies that the tests of reports share, and their reports."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.rates import rates_of
from convergan.study.analysis.votes import Votes
from convergan.study.report import StudyReport
from convergan.study.report.page import write_page
from harness.simulated_votes import joined, simulated_votes, timed_votes


@pytest.fixture(scope="session")
def votes() -> Votes:
    """Two arms: the paper's 78.7 % on random images, 71.4 % on the best."""
    rng = np.random.default_rng(4)
    arms = {"random": 0.787, "top 1 %": 0.714}
    return joined(
        [simulated_votes(rng, {arm: share}, pool=150, learning=0.1) for arm, share in arms.items()]
    )


@pytest.fixture(scope="session")
def report(votes: Votes) -> StudyReport:
    generated = np.unique(votes.image[votes.generated]).tolist()
    fooled = {image: float(votes.wrong[votes.image == image].mean()) for image in generated}
    pictures = {}
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for place, image in enumerate(generated):
        file = BytesIO()
        Image.fromarray(np.roll(pixels, place, axis=0)).save(file, "PNG")
        pictures[image] = file.getvalue()
    findings = analyse(votes, image_scores=fooled, set_scores={"set random": 9, "set top 1 %": 4})
    return StudyReport(
        title="CIFAR-10, a GAN",
        source="study.db",
        findings=findings,
        rates=rates_of(votes),
        picture_of=pictures.get,
        notes=("2 participants were excluded: both failed both attention checks.",),
    )


@pytest.fixture(scope="session")
def page(report: StudyReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, report)
    return path


@pytest.fixture(scope="session")
def many_arms(report: StudyReport) -> StudyReport:
    """Rates alone, of seven arms with long names."""
    rng = np.random.default_rng(5)
    arms = {f"a rather long name of an arm, number {n}": 0.5 + 0.07 * n for n in range(7)}
    rates = rates_of(simulated_votes(rng, arms, participants=10, trials=40))
    scores = {f"set {arm}": float(place) for place, arm in enumerate(arms)}
    findings = analyse(rates, set_scores=scores)
    return replace(report, findings=findings, rates=rates, picture_of=None, notes=())


@pytest.fixture(scope="session")
def few_participants(report: StudyReport) -> StudyReport:
    """Three participants in one of the arms."""
    first, second = report.findings.arms
    arms = [replace(first, participants=3), second]
    return replace(report, findings=replace(report.findings, arms=arms))


@pytest.fixture(scope="session")
def timed() -> StudyReport:
    """Two timed arms."""
    rng = np.random.default_rng(6)
    arms = {"SIMULATED-samples, feedback": 320, "SIMULATED-samples, no feedback": 515}
    votes = timed_votes(rng, arms)
    return StudyReport(
        title="Timed", source="timed.db", findings=analyse(votes), rates=rates_of(votes)
    )
