"""The file results.json: the results of a run."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge
from annotated_types import Interval as Range
from pydantic import ConfigDict, TypeAdapter, with_config

from convergan.errors import UserError
from convergan.json_files import read_json_as, write_json

Count = Annotated[int, Ge(0)]
Share = Annotated[float, Range(ge=0, le=1)]
Seconds = Annotated[float, Ge(0)]

Decision = Literal["helped", "hurt", "undecided"]

_EXPECTED = "the results of a run"


class RateInterval(NamedTuple):
    """A 95 % confidence interval of an error rate; a list of two in JSON."""

    low: Share
    high: Share


@dataclass(frozen=True, kw_only=True)
class ErrorRate:
    """The error rate of a classifier on the test images."""

    errors: int
    size: int
    """Number of test images."""

    rate: float
    """Error rate, errors / size."""

    interval: RateInterval


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """Result of one of the models that a run compares."""

    name: str
    """Name of the arm: `composed`, `gan`, `consistency`, `custom`, `baseline` or `frozen`."""

    test_errors: Count
    """Number of errors on the test images; without any, on the labelled images that were held out."""

    test_error_rate: Share
    """Error rate: test_errors divided by the number of these images, 0 to 1."""

    interval: RateInterval
    """Confidence interval, 95 %, of test_error_rate, by the method in `Results.interval_method`."""

    minutes: Seconds
    """Duration in minutes of the training whose errors are counted."""

    steps: Count
    """Number of steps of that training."""

    held_out_errors: Count | None = None
    """Number of errors on the labelled images that were held out to choose an arm; None without any."""

    held_out_size: Count | None = None
    """Number of labelled images that were held out."""

    p_value: Share | None = None
    """P-value of the comparison with the saved arm, as in `ArmComparison`; None for that arm itself."""


@dataclass(frozen=True, kw_only=True)
class MemberResult:
    """Result of a single member of an ensemble; its own results.json has more."""

    seed: int
    """Seed of its training, and name of its folder in members/."""

    test_errors: Count | None
    """Number of errors on the ensemble's test images; None if it was not tested."""

    test_error_rate: Share | None
    """Error rate: test_errors divided by the number of these images, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class ArmComparison:
    """Comparison of two arms on the same images."""

    first: str
    """Name of the first arm."""

    second: str
    """Name of the second arm."""

    only_first_wrong: Count
    """Number of images that only the first arm misclassifies."""

    only_second_wrong: Count
    """Number of images that only the second arm misclassifies."""

    p_value: Share
    """P-value of the exact McNemar test, corrected for the number of pairs of arms (Holm)."""


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of a run: the content of results.json, whose keys are the attributes in this order.

    A run whose images have no labels was not tested: values about tests are None then, and their keys are
    absent from the file. In a run without a baseline values about the baseline are None.
    """

    recipe: str
    """Name of the recipe."""

    labels: Count
    """Number of labels that were trained on or chose among epochs; 0 for a generator alone."""

    seed: int
    """Seed of the run, 0 or more."""

    epochs: Annotated[int, Ge(1)]
    """Number of epochs of each training."""

    epoch_chosen: Annotated[int, Ge(1)] | None = None
    """Epoch of the saved weights, from 1: the last, or the best on validation images."""

    folds: Count = 0
    """Number of folds of the cross-validation; 0 where there was none."""

    test_errors: Count | None = None
    """Number of errors of the saved classifier on the test images; with folds, of the folds' classifiers."""

    test_error_rate: Share | None = None
    """Error rate, test_errors / test_size, 0 to 1."""

    test_interval: RateInterval | None = None
    """Wilson interval, 95 %, of test_error_rate for this number of images, without the spread over seeds."""

    baseline_test_errors: Count | None = None
    """Number of errors of the supervised baseline on the same images."""

    baseline_test_error_rate: Share | None = None
    """Error rate of the baseline, baseline_test_errors / test_size, 0 to 1."""

    baseline_test_interval: RateInterval | None = None
    """Wilson interval, 95 %, of baseline_test_error_rate."""

    test_size: Annotated[int, Ge(1)] | None = None
    """Number of test images; with folds, of labelled images, each tested in one fold."""

    decision: Decision | None = None
    """Effect of the recipe's additions to its baseline, the GAN or learning from unlabelled images: "helped",
    "hurt" or "undecided", by McNemar's test at 5 %. If there are several arms, the recipe's own is compared,
    whichever is saved. None without a baseline."""

    p_value: Share | None = None
    """P-value of McNemar's exact test, 0 to 1; with several arms as in `comparisons`, corrected for the
    number of pairs. None without a baseline."""

    arms: tuple[ArmResult, ...] = ()
    """Results of models compared at equal time, the recipe's own first; none without `minutes` or arms."""

    saved_arm: str | None = None
    """Name of the arm whose model is saved."""

    comparisons: tuple[ArmComparison, ...] = ()
    """Comparisons of all pairs of arms."""

    interval_method: str | None = None
    """Method of the intervals of the arms' error rates, in words."""

    tested_on_held_out: bool = False
    """True if the arms' error rates are on the labelled images that were held out, as there is no test set.
    These images also chose the saved arm, if there are several."""

    members: tuple[MemberResult, ...] = ()
    """Results of the members of an ensemble in the order of their seeds, while `test_errors` and
    `baseline_test_errors` are those of the mean of all members' probabilities; none for a single model."""

    train_seconds: Seconds
    """Duration of all trainings, over all resumes, in seconds."""

    seconds_per_epoch: Seconds
    """Mean duration of an epoch of the result's training, in seconds."""

    device: str
    """Device of the process that ended the run: "cpu, 2 threads", or the GPU's name."""

    precision: str
    """Arithmetic of the training: "32-true" or "bf16-mixed"."""

    versions: dict[str, str] = field(default_factory=dict)
    """Versions of Python and of packages, by name, in the process that ended the run."""

    git_commit: str | None = None
    """Commit of the checkout that trained, with "-dirty" if it was changed; None for an installed package."""

    @property
    def test(self) -> ErrorRate | None:
        """Error rate of the saved classifier; None for a run that was not tested."""
        return self._error_rate(self.test_errors, self.test_error_rate, self.test_interval)

    @property
    def tested_labels(self) -> int:
        """Number of labels that each tested classifier was trained with; of folds that differ in size, the
        fewest. Where labels are held out for the test, fewer than `labels`, with which the result is trained.
        """
        if self.folds and self.test_size is not None:
            return self.labels - -(-self.test_size // self.folds)
        return self.labels - (self.test_size or 0) * self.tested_on_held_out

    @property
    def has_uneven_folds(self) -> bool:
        """True if there are folds that differ in size."""
        return bool(self.folds and (self.test_size or 0) % self.folds)

    def arm(self, name: str) -> ArmResult | None:
        """The result of the arm with this name; None if there is none."""
        return next((arm for arm in self.arms if arm.name == name), None)

    def error_rate_of(self, arm: ArmResult) -> ErrorRate | None:
        """Error rate of an arm on the images that all arms are tested on."""
        return self._error_rate(arm.test_errors, arm.test_error_rate, arm.interval)

    def p_value_between(self, first: str, second: str) -> float:
        """P-value of the comparison of two arms, in either order, as in `ArmComparison`."""
        return next(
            comparison.p_value
            for comparison in self.comparisons
            if {comparison.first, comparison.second} == {first, second}
        )

    @property
    def baseline_test(self) -> ErrorRate | None:
        """Error rate of the baseline; None for a run without a baseline."""
        return self._error_rate(
            self.baseline_test_errors, self.baseline_test_error_rate, self.baseline_test_interval
        )

    def _error_rate(
        self, errors: int | None, rate: float | None, interval: RateInterval | None
    ) -> ErrorRate | None:
        if errors is None or rate is None or interval is None or self.test_size is None:
            return None
        return ErrorRate(errors=errors, size=self.test_size, rate=rate, interval=interval)

    def as_json(self) -> dict[str, Any]:
        """The content of results.json."""
        absent = set() if self.test else {"folds", *_TEST_KEYS, *_BASELINE_KEYS}
        absent |= set() if self.arms else _ARM_KEYS
        absent |= set() if self.saved_arm else {"saved_arm"}
        absent |= set() if self.members else {"members"}
        names = (field.name for field in fields(self))
        return {name: getattr(self, name) for name in names if name not in absent}


_ARM_KEYS = {"arms", "comparisons", "interval_method", "tested_on_held_out"}
_TEST_KEYS = ("test_size", "test_errors", "test_error_rate", "test_interval")
_BASELINE_KEYS = (
    "baseline_test_errors",
    "baseline_test_error_rate",
    "baseline_test_interval",
    "decision",
    "p_value",
)
_RESULTS = TypeAdapter(Results)


def write_results(path: Path, results: Results) -> None:
    """Write a results.json, whole or not at all."""
    write_json(path, results.as_json())


def read_results(path: Path) -> Results:
    """Read a results.json, of this version or an earlier one; keys that are unknown are ignored.

    Raises:
        UserError: the file is missing or damaged; the line names it, and the key whose value is missing or
            of another kind.
    """
    results = read_json_as(path, _RESULTS, _EXPECTED)
    # The keys of a group are all there or none; a baseline is tested on the classifier's own test images.
    required: tuple[str, ...] = ()
    for group in (_BASELINE_KEYS, _TEST_KEYS):
        if required or any(getattr(results, name) is not None for name in group):
            required = (*required, *group)
    for name in required:
        if getattr(results, name) is None:
            raise UserError(
                f"{path}: expected {_EXPECTED}, got another file or a damaged one ({name}: Field required)"
            )
    return results
