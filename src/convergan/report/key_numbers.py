"""Numbers below the verdict: errors of the result and of its rival, and facts of the run."""

import math

from convergan.page.words import chance, count, is_no_evidence, number
from convergan.recipes.arm_words import arm_phrase
from convergan.recipes.settings import FORMER_PRECISIONS
from convergan.report.arms import Bar, arm_bars, bars, rival_of, saved_arm
from convergan.report.inputs import ReportInputs
from convergan.report.words import duration, tested
from convergan.runs.results import ErrorRate


def key_bars(inputs: ReportInputs) -> list[Bar]:
    """The bars of the saved classifier and its rival, as far as they were tested."""
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
        result = ("Classifier", "the model that this run trained", 0, results.test)
    baseline = ("Supervised baseline", _BASELINE, 1, results.baseline_test)
    if inputs.members:
        result, baseline = (_ensemble_bar(inputs, *entry) for entry in (result, baseline))
    return bars([result, baseline])


_BASELINE = "the same network, trained on the labelled images alone"


def _ensemble_bar(
    inputs: ReportInputs, name: str, explanation: str, style: int, error_rate: ErrorRate | None
) -> tuple[str, str, int, ErrorRate | None]:
    """The bar of an ensemble in place of that of a single model."""
    return f"{name}, ensemble of {len(inputs.members)}", explanation, style, error_rate


def comparison(inputs: ReportInputs) -> str | None:
    """Sentence on the difference in errors between the result and its rival; None without a rival."""
    results, saved = inputs.results, saved_arm(inputs.arms)
    result, rival = (results.test, results.baseline_test) if results else (None, None)
    phrase, contrast = "the GAN", "without it"
    if saved is not None:
        rival_arm = rival_of(saved, inputs.arms)
        if rival_arm is None:
            return None
        result, rival = saved.test, rival_arm.test
        phrase, contrast = arm_phrase(saved.name), f"with {arm_phrase(rival_arm.name)}"
    elif inputs.generated_images is None:
        phrase, contrast = "the classifier", "with the supervised baseline"
    if result is None or rival is None:
        return None
    return _difference(result, rival, phrase, contrast, tested(inputs))


def chance_of_difference(inputs: ReportInputs) -> str:
    """Sentence on the p-value of the difference to the rival; empty without a rival, or without a
    difference.
    """
    saved = saved_arm(inputs.arms)
    p_value = inputs.results.p_value if inputs.results else None
    if saved is not None:
        rival = rival_of(saved, inputs.arms)
        p_value = rival.p_value if rival else None
    if p_value is None:
        return ""
    if is_no_evidence(p_value):
        return "This is no evidence of a difference."
    return (
        "If both were equally good, a difference this large would arise by chance with probability"
        f" {chance(p_value)}."
    )


def labels_of_tests(inputs: ReportInputs) -> str:
    """Sentence on the labels behind the errors if the saved model has more; empty otherwise."""
    results = inputs.results
    if results is None or results.tested_labels == results.labels:
        return ""
    at_least = "at least " if results.has_uneven_folds else ""
    return (
        f"The models behind these numbers were trained with {at_least}{count(results.tested_labels)} of the"
        f" {count(results.labels)} labels, the saved one with all of them."
    )


def _difference(
    result: ErrorRate, rival: ErrorRate, phrase: str, contrast: str, images: str
) -> str:
    if result.errors == rival.errors:
        return f"As many mistakes with {phrase} as {contrast}, on the same {images}."
    direction = "fewer" if result.errors < rival.errors else "more"
    difference = abs(rival.errors - result.errors)
    share = ""
    if rival.errors:
        share = f" ({100 * difference / rival.errors:.0f}\N{NO-BREAK SPACE}% {direction})"
    return (
        f"{count(difference)} {direction} mistake{'s' if difference > 1 else ''} with {phrase} than"
        f" {contrast}, on the same {images}{share}."
    )


def facts(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Key facts to read with the verdict, as far as the run has them."""
    results, last = inputs.results, inputs.epochs[-1] if inputs.epochs else None
    rows: list[tuple[str, str]] = []
    if results is not None:
        rows.append(("labelled images", count(results.labels)))
        if results.test_size is not None and not results.folds:
            rows.append((tested(inputs), count(results.test_size)))
    if inputs.members:
        rows.append(("members", count(len(inputs.members))))
    if last is not None:
        rows.append(("epochs", count(last.epoch)))
    result_epoch = results.epoch_chosen if results else None
    if result_epoch is not None and not (last and result_epoch == last.epoch):
        rows.append(("result from epoch", count(result_epoch)))
    seconds = results.train_seconds if results else last.train_seconds if last else math.nan
    if math.isfinite(seconds):
        scope = ", all arms" if len(inputs.arms) > 1 else ", all members" if inputs.members else ""
        rows.append((f"training time{scope}", duration(seconds)))
    if inputs.manifest is not None:
        precision = inputs.manifest.precision
        rows.append(("device", inputs.manifest.device))
        rows.append(("precision", FORMER_PRECISIONS.get(precision, precision)))
    if last is not None and results is None:
        rows += [
            (name, number(value))
            for name, value in (
                ("diversity (data: 1)", last.diversity),
                ("“real” for generated", last.generated_score),
            )
            if math.isfinite(value)
        ]
    return rows
