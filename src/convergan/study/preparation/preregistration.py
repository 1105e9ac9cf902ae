"""Preregistration: a study's plan as a text to register before the first participant starts."""

from contextlib import closing
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import func, select

from convergan.study.analysis.screens import Screens
from convergan.study.collect.outcome import MISSES_ALLOWED
from convergan.study.design.plan import CONTROL, Plan
from convergan.study.design.power import power_of_difference, power_of_thresholds
from convergan.study.import_export.record import plan_as_json
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Participant

_DIFFERENCES = (0.03, 0.05, 0.073, 0.1)
"""Differences of accuracies; 0.073 is the paper's, 78.7 % compared with 71.4 %."""


def read_plan(study: str) -> dict[str, Any]:
    """Read the plan of a study, as JSON can hold it, with its arms, images and hashes.

    Raises:
        UserError: see `open_study`.
    """
    with closing(open_study(study)) as database, database.reading() as session:
        people = select(func.count()).select_from(Participant).where(~Participant.simulated)
        return plan_as_json(session) | {"participants_so_far": session.scalar(people)}


def preregistration(record: dict[str, Any]) -> str:
    """Write the text, in Markdown: hypotheses, design, sample size with power, exclusions, analysis.

    Args:
        record: the plan with arms, images and hashes, from `read_plan`.
    """
    # Settings that a study of an earlier version lacks have their defaults, as in the report.
    plan, arms = asdict(Plan(**record["plan"])), record["arms"]
    timed = plan["exposure"] == "timed"
    margin = 100 * plan["margin"]
    sets = ", ".join(f"{count:,} {name}" for name, count in record["images"].items())
    parts = [
        f"# {plan['title']}",
        _state(record),
        "## Hypotheses",
        _hypotheses(arms, timed, margin),
        "## Design",
        f"Participants judge {plan['trials']} images each, half of them real and half generated, none twice,"
        f" in a random order of their own; {plan['practice']} images for practice come first and do not"
        f" count. {_exposure(timed)} Images: {sets}; {record['size_px']} pixels square, all encoded alike.",
        "\n".join(
            f"* Arm {arm['name']}: generated images of {arm['images']}; {_feedback(arm)}."
            for arm in arms
        ),
        "Each new participant is assigned to the arm with the fewest participants, at random if there are"
        " several, and is not told about the other arms.",
        "## Sample size",
        f"{plan['participants']} participants in each arm who finish and pass the checks. Data collection"
        " ends when that number is reached, whatever the results. A change of the number is recorded, and the"
        " report shows it.",
        _power(record, timed),
        "## Exclusions",
        _exclusions(plan, timed),
        "## Analysis",
        _analysis(arms, timed, margin),
        "## Consent",
        "\n".join(f"> {line}".rstrip() for line in plan["consent"].splitlines()),
    ]
    return "\n\n".join(parts) + "\n"


def _state(record: dict[str, Any]) -> str:
    count = record["participants_so_far"]
    text = f"Plan of a visual Turing test, frozen by convergan {record['convergan']}."
    if count:
        started = f"{count:,} participant{'s' * (count > 1)} had started"
        text += f" **{started} when this text was written: this is no preregistration.**"
    return text


def _hypotheses(arms: list[dict[str, Any]], timed: bool, margin: float) -> str:
    measure = "exposure threshold" if timed else "accuracy"
    lines = []
    if not timed:
        lines += [
            "* In each arm, people can tell generated from real images: their accuracy differs from 50 %.",
            "* The alternative in each arm is equivalence to guessing: the accuracy is within"
            f" {margin:g} points of 50 %.",
        ]
    if len(arms) > 1:
        lines.append(
            f"* The arms differ in people's mean {measure}; every pair of arms is compared."
        )
    return (
        "\n".join(lines)
        or f"* No hypothesis is tested; the mean {measure} is estimated with its interval."
    )


def _exposure(timed: bool) -> str:
    if not timed:
        return "Each image stays on the screen until the answer."
    return "Each image is shown for a moment and then masked; a staircase adjusts the exposure to 75 % right."


def _feedback(arm: dict[str, Any]) -> str:
    return "feedback after each answer" if arm["feedback"] else "no feedback"


def _power(record: dict[str, Any], timed: bool) -> str:
    plan, arms = record["plan"], record["arms"]
    participants = max(2, plan["participants"])
    if len(arms) < 2:
        return "There is only one arm: no comparison needs power."
    if timed:
        power = power_of_thresholds(participants, 0.8)
        return (
            "A difference of 0.8 standard deviations between participants in mean threshold would be found in"
            f" {100 * power:.0f} % of studies of this size (power)."
        )
    images = min(count for name, count in record["images"].items() if name != CONTROL)
    rows = "\n".join(
        f"| {100 * difference:g} points | {100 * power:.0f} % |"
        for difference in _DIFFERENCES
        for power in [
            power_of_difference(
                participants, plan["trials"], difference, arms=len(arms), images=max(2, images)
            )
        ]
    )
    return (
        "The power to find a difference, with participants and images as samples, two-sided at 5 % over all"
        " comparisons:\n\n"
        f"| difference in accuracy | power |\n|---|---|\n{rows}"
    )


def _exclusions(plan: dict[str, Any], timed: bool) -> str:
    lines = ["* Participants who do not finish are not counted and are replaced."]
    if plan["checks"]:
        lines.append(
            f"* Participants who miss more than {MISSES_ALLOWED} of {plan['checks']} attention checks are not"
            " counted and are replaced."
        )
    screens = Screens(**{field.name: plan[field.name] for field in fields(Screens)})
    lines.append(
        "* Participants are flagged as careless and left out of the findings if"
        f" {'; or '.join(screens.rules)}. Results are reported with and without them."
    )
    if plan["controls"]:
        lines.append(
            f"* {plan['controls']} obvious fakes among the trials of each participant are positive controls;"
            " they are used for nothing else."
        )
    if timed:
        lines.append(
            "* Answers to images that were shown more than one frame longer or shorter than planned are left"
            " out."
        )
    lines.append("* No single vote is left out because it was slow or fast.")
    return "\n".join(lines)


def _analysis(arms: list[dict[str, Any]], timed: bool, margin: float) -> str:
    measure = "exposure thresholds" if timed else "accuracies"
    lines = ["* `convergan study report` with its defaults, run once, after the last participant."]
    if not timed:
        lines.append(
            "* Accuracy, the errors on generated and on real images, d' and criterion, with 95 % intervals;"
            f" a test of the accuracy against 50 %; two one-sided tests for equivalence with a margin of"
            f" {margin:g} points."
        )
    if len(arms) > 1:
        lines.append(
            f"* All pairs of arms are compared in their {measure}, two-sided at 5 %, with Holm's correction."
        )
    return "\n".join(lines)
