"""The arms of a run: a comparison of their errors, and the saved arm."""

from collections.abc import Sequence
from dataclasses import dataclass

from convergan.page.figures import page_colour
from convergan.recipes.arm_words import arm_title
from convergan.report.inputs import ArmSummary, ReportInputs
from convergan.runs.choice_reason import choice_reason
from convergan.runs.results import ErrorRate

_EXPLANATIONS = {
    "composed": "labelled, unlabelled and generated images; two views of an image must get one answer",
    "gan": "labelled, unlabelled and generated images",
    "consistency": "labelled and unlabelled images; two views of an image must get one answer",
    "custom": "loss terms that only this recipe has",
    "baseline": "the same network, trained on the labelled images alone",
    "frozen": "a linear classifier on the features of a pretrained network",
}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The bar of a classifier's errors, in percent of the widest bar."""

    name: str
    explanation: str
    colour: str
    """The page's colour of the bar."""

    error_rate: ErrorRate
    scale: float

    def share(self, rate: float) -> float:
        return round(100 * rate / self.scale, 2)


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """A line of the table of arms."""

    arm: ArmSummary
    title: str
    explanation: str
    bar: Bar | None
    """The arm's bar; None if it was not tested."""


def bars(classifiers: Sequence[tuple[str, str, int, ErrorRate | None]]) -> list[Bar]:
    """The bars of (name, explanation, style, errors) on one scale, without untested classifiers."""
    present = [
        (name, explanation, style, error_rate)
        for name, explanation, style, error_rate in classifiers
        if error_rate is not None
    ]
    widest = max((max(tested.rate, tested.interval.high) for *_, tested in present), default=0)
    return [
        Bar(
            name=name,
            explanation=explanation,
            colour=page_colour(style),
            error_rate=error_rate,
            scale=widest or 1,
        )
        for name, explanation, style, error_rate in present
    ]


def saved_arm(arms: Sequence[ArmSummary]) -> ArmSummary | None:
    """The arm whose model is saved."""
    return next((arm for arm in arms if arm.saved), None)


def rival_of(saved: ArmSummary, arms: Sequence[ArmSummary]) -> ArmSummary | None:
    """The arm that the saved one is compared with: the baseline; for a baseline, the best other arm."""
    rivals = [arm for arm in by_errors(arms) if arm is not saved and arm.test is not None]
    return next((arm for arm in rivals if arm.name == "baseline"), rivals[0] if rivals else None)


def by_errors(arms: Sequence[ArmSummary]) -> list[ArmSummary]:
    """The arms by their number of errors, the fewest first; untested ones last."""
    return sorted(arms, key=lambda arm: (arm.test is None, arm.test.rate if arm.test else 0))


def arm_bars(arms: Sequence[ArmSummary], selection: Sequence[ArmSummary]) -> list[Bar]:
    """The bars of the arms `selection`, each in the colour of its index in `arms`."""
    return bars(
        [
            (arm_title(arm.name), _EXPLANATIONS.get(arm.name, ""), arms.index(arm), arm.test)
            for arm in selection
        ]
    )


def arm_rows(arms: Sequence[ArmSummary]) -> list[ArmRow]:
    """The rows of the table of arms, the arm with the fewest errors first."""
    ordered = by_errors(arms)
    arm_bar = iter(arm_bars(arms, ordered))
    return [
        ArmRow(
            arm=arm,
            title=arm_title(arm.name),
            explanation=_EXPLANATIONS.get(arm.name, ""),
            bar=next(arm_bar) if arm.test else None,
        )
        for arm in ordered
    ]


def chosen_by_tests(inputs: ReportInputs) -> bool:
    """True if the arms' error rates are on the images that chose among the arms."""
    return len(inputs.arms) > 1 and inputs.results is not None and inputs.results.tested_on_held_out


def choice(arms: Sequence[ArmSummary]) -> str:
    """A sentence on the saved arm and the reason, if errors on held-out images tell it; empty without one."""
    saved = saved_arm(arms)
    if saved is None:
        return ""
    reason = choice_reason(saved, arms, "labelled images held out for this choice")
    return f"{arm_title(saved.name)} is saved{f': {reason}' if reason else ''}."
