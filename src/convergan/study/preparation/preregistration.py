"""A study's plan as a text to register before the first participant comes."""

from contextlib import closing
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select

from convergan.study.collect.outcome import MISSES_ALLOWED
from convergan.study.design.plan import CONTROL, Plan
from convergan.study.design.power import power_of_difference, power_of_thresholds
from convergan.study.import_export.record import plan_as_json
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Participant

_DIFFERENCES = (0.03, 0.05, 0.073, 0.1)
"""Of accuracies; .073 is the paper's, 78.7 % against 71.4 %."""

_RULES = {
    "fastest_ms": "the median response time is below {} ms",
    "longest_run": "the same answer is given {} times in a row",
    "most_leaning": "the criterion is {} or more from 0, either way",
}
"""By which participants are flagged as careless; 0 switches one off."""


def read_plan(study: str) -> dict[str, Any]:
    """The plan of a study, as JSON can hold it, with its arms, images and hashes.

    Raises:
        UserError: as `open_study`.
    """
    with closing(open_study(study)) as database, database.reading() as session:
        people = select(func.count()).select_from(Participant).where(~Participant.simulated)
        return plan_as_json(session) | {"participants_so_far": session.scalar(people)}


def preregistration(found: dict[str, Any]) -> str:
    """The text, in Markdown: hypotheses, design, sample size with power, exclusions, analysis.

    Args:
        found: what `read_plan` gives.
    """
    # What a study of an earlier version does not hold is as the report takes it.
    plan, arms = asdict(Plan(**found["plan"])), found["arms"]
    timed = plan["exposure"] == "timed"
    margin = 100 * plan["margin"]
    sets = ", ".join(f"{count:,} {name}" for name, count in found["images"].items())
    parts = [
        f"# {plan['title']}",
        _state(found),
        "## Hypotheses",
        _hypotheses(arms, timed, margin),
        "## Design",
        f"Participants judge {plan['trials']} images each, half of them real and half generated, none twice,"
        f" in a random order of their own; {plan['practice']} images for practice come first and do not"
        f" count. {_exposure(timed)} Images: {sets}; {found['size_px']} pixels square, all encoded alike.",
        "\n".join(
            f"* Arm {arm['name']}: generated images of {arm['images']}; {_told(arm)}."
            for arm in arms
        ),
        "Each new participant is assigned to the arm with the fewest, to a random one of several, and is not"
        " told of the others.",
        "## Sample size",
        f"{plan['participants']} participants in each arm who finish and pass the checks. Data collection"
        " ends when that number is reached, whatever the results. A change of it is recorded, and stands in"
        " the report.",
        _power(found, timed),
        "## Exclusions",
        _exclusions(plan, timed),
        "## Analysis",
        _analysis(arms, timed, margin),
        "## Consent",
        "\n".join(f"> {line}".rstrip() for line in plan["consent"].splitlines()),
    ]
    return "\n\n".join(parts) + "\n"


def _state(found: dict[str, Any]) -> str:
    so_far = found["participants_so_far"]
    text = f"Plan of a visual Turing test, frozen by convergan {found['convergan']}."
    if so_far:
        began = f"{so_far:,} participant{'s' * (so_far > 1)} had started"
        text += f" **{began} when this text was made: this is no preregistration.**"
    return text


def _hypotheses(arms: list[dict[str, Any]], timed: bool, margin: float) -> str:
    measure = "exposure threshold" if timed else "accuracy"
    lines = []
    if not timed:
        lines += [
            "* In each arm, people tell generated images from real ones: their accuracy differs from 50 %.",
            "* The alternative, which counts as no difference: it is within"
            f" {margin:g} points of 50 % (equivalence).",
        ]
    if len(arms) > 1:
        lines.append(
            f"* The arms differ in people's mean {measure}; every pair of arms is compared."
        )
    return (
        "\n".join(lines) or f"* None is tested; the mean {measure} is estimated with its interval."
    )


def _exposure(timed: bool) -> str:
    if not timed:
        return "An image stays until it is answered."
    return (
        "An image is shown for a moment and masked; its exposure follows a staircase to 75 % right."
    )


def _told(arm: dict[str, Any]) -> str:
    return "told after each answer whether it was right" if arm["feedback"] else "no feedback"


def _power(found: dict[str, Any], timed: bool) -> str:
    plan, arms = found["plan"], found["arms"]
    participants = max(2, plan["participants"])
    if len(arms) < 2:
        return "There is one arm, and no comparison to have power for."
    if timed:
        power = power_of_thresholds(participants, 0.8)
        return (
            "Thresholds that differ by 0.8 standard deviations between participants are told apart with a"
            f" probability of {100 * power:.0f} %."
        )
    images = min(count for name, count in found["images"].items() if name != CONTROL)
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
        "Participants and images as samples, two-sided at 5 % over all comparisons:\n\n"
        f"| difference of accuracies | power |\n|---|---|\n{rows}"
    )


def _exclusions(plan: dict[str, Any], timed: bool) -> str:
    lines = ["* Participants who do not finish are not counted and are replaced."]
    if plan["checks"]:
        lines.append(
            f"* Participants who miss more than {MISSES_ALLOWED} of {plan['checks']} attention checks are not"
            " counted and are replaced."
        )
    rules = [words.format(plan[name]) for name, words in _RULES.items() if plan[name]]
    if rules:
        lines.append(
            f"* Participants are flagged as careless, and left out of the findings, if {'; or '.join(rules)}."
            " Results are reported with and without them."
        )
    if plan["controls"]:
        lines.append(
            f"* {plan['controls']} obvious fakes among the trials of each participant are positive controls;"
            " they count in nothing else."
        )
    if timed:
        lines.append(
            "* Answers to images that were shown more than a frame longer or shorter than asked for are left"
            " out."
        )
    lines.append("* No single vote is left out for being slow or fast.")
    return "\n".join(lines)


def _analysis(arms: list[dict[str, Any]], timed: bool, margin: float) -> str:
    measure = "exposure thresholds" if timed else "accuracies"
    lines = [
        "* `convergan study report`, with its defaults, made once, after the last participant."
    ]
    if not timed:
        lines.append(
            "* Accuracy, the error on generated and on real images, d' and criterion, with 95 % intervals;"
            f" chance is tested against 50 %, equivalence by two one-sided tests with a margin of"
            f" {margin:g} points."
        )
    if len(arms) > 1:
        lines.append(
            f"* All pairs of arms by their {measure}, two-sided at 5 %, corrected by Holm's method."
        )
    return "\n".join(lines)
