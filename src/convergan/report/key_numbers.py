"""The numbers below the verdict: the errors of the result beside those of its rival, and facts of the run."""

import math

from convergan.page.words import count, number
from convergan.recipes.arm_words import arm_phrase
from convergan.recipes.settings import FORMER_PRECISIONS
from convergan.report.arms import Bar, arm_bars, bars, rival_of, saved_arm
from convergan.report.inputs import ReportInputs
from convergan.report.words import duration, tested
from convergan.runs.results import ErrorRate


def key_bars(inputs: ReportInputs) -> list[Bar]:
    """What is saved and what it is held against, as far as they were tested."""
    saved = saved_arm(inputs.arms)
    if saved is not None:
        rival = rival_of(saved, inputs.arms)
        return arm_bars(inputs.arms, [saved, rival] if rival else [saved])
    results = inputs.results
    if results is None:
        return []
    images = "labelled, unlabelled and generated images"
    result = ("Semi-supervised GAN", images, 0, results.test)
    if inputs.generated_images is None:
        result = ("Classifier", "what this run trained", 0, results.test)
    baseline = ("Supervised baseline", _BASELINE, 1, results.baseline_test)
    if inputs.members:
        result, baseline = (_of_members(inputs, *each) for each in (result, baseline))
    return bars([result, baseline])


_BASELINE = "the same network, on the labelled images alone"


def _of_members(
    inputs: ReportInputs, name: str, explanation: str, style: int, found: ErrorRate | None
) -> tuple[str, str, int, ErrorRate | None]:
    """The bar of an ensemble in place of that of a single model."""
    return f"{name}, ensemble of {len(inputs.members)}", explanation, style, found


def comparison(inputs: ReportInputs) -> str | None:
    """How many mistakes fewer, or more, the result makes than its rival; None without one."""
    results, saved = inputs.results, saved_arm(inputs.arms)
    found, rival = (results.test, results.baseline_test) if results else (None, None)
    ours, without = "the GAN", "without it"
    if saved is not None:
        other = rival_of(saved, inputs.arms)
        if other is None:
            return None
        found, rival = saved.test, other.test
        ours, without = arm_phrase(saved.name), f"with {arm_phrase(other.name)}"
    elif inputs.generated_images is None:
        ours, without = "the classifier", "with the supervised baseline"
    if found is None or rival is None:
        return None
    return _difference(found, rival, ours, without, tested(inputs))


def chance_of_difference(inputs: ReportInputs) -> float | None:
    """The p-value of the difference to the rival; None where there is none."""
    saved = saved_arm(inputs.arms)
    if saved is not None:
        rival = rival_of(saved, inputs.arms)
        return rival.p_value if rival else None
    return inputs.results.p_value if inputs.results else None


def _difference(found: ErrorRate, rival: ErrorRate, ours: str, without: str, images: str) -> str:
    if found.errors == rival.errors:
        return f"As many mistakes with {ours} as {without}, on the same {images}."
    fewer = "fewer" if found.errors < rival.errors else "more"
    difference = abs(rival.errors - found.errors)
    share = ""
    if rival.errors:
        share = f" ({100 * difference / rival.errors:.0f}\N{NO-BREAK SPACE}% {fewer})"
    return (
        f"{count(difference)} {fewer} mistake{'s' if difference > 1 else ''} with {ours} than {without}, "
        f"on the same {images}{share}."
    )


def facts(inputs: ReportInputs) -> list[tuple[str, str]]:
    """The numbers to know beside the verdict, as far as this run has them."""
    results, last = inputs.results, inputs.epochs[-1] if inputs.epochs else None
    known: list[tuple[str, str]] = []
    if results is not None:
        known.append(("labelled images", count(results.labels)))
        if results.test_size is not None and not results.folds:
            known.append((tested(inputs), count(results.test_size)))
    if inputs.members:
        known.append(("members", count(len(inputs.members))))
    if last is not None:
        known.append(("epochs", count(last.epoch)))
    chosen = results.epoch_chosen if results else None
    if chosen is not None and not (last and chosen == last.epoch):
        known.append(("result from epoch", count(chosen)))
    seconds = results.train_seconds if results else last.train_seconds if last else math.nan
    if math.isfinite(seconds):
        of_all = ", all arms" if len(inputs.arms) > 1 else ", all members" if inputs.members else ""
        known.append((f"training time{of_all}", duration(seconds)))
    if inputs.manifest is not None:
        precision = inputs.manifest.precision
        known.append(("device", inputs.manifest.device))
        known.append(("precision", FORMER_PRECISIONS.get(precision, precision)))
    if last is not None and results is None:
        known += [
            (name, number(value))
            for name, value in (
                ("diversity (data: 1)", last.diversity),
                ("“real” for generated", last.generated_score),
            )
            if math.isfinite(value)
        ]
    return known
