"""results.json: what a run came to."""

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


class Interval(NamedTuple):
    """A 95 % confidence interval of an error rate; a list of two in JSON."""

    low: Share
    high: Share


@dataclass(frozen=True, kw_only=True)
class ErrorRate:
    """The mistakes of one classifier on the test images."""

    errors: int
    size: int
    """Number of test images."""

    rate: float
    """errors / size."""

    interval: Interval


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What one of the models that a run compares came to."""

    name: str
    """`composed`, `gan`, `consistency`, `custom`, `baseline` or `frozen`."""

    test_errors: Count
    """Mistakes on the test images; where there are none, on the labelled images that were held out."""

    test_error_rate: Share
    """test_errors divided by the number of those images, 0 to 1."""

    interval: Interval
    """95 % interval of test_error_rate, of the kind that `Results.interval_method` names."""

    minutes: Seconds
    """Minutes that the training took whose errors these are."""

    steps: Count
    """Number of steps of that training."""

    held_out_errors: Count | None = None
    """Mistakes on the labelled images that were held out to choose among the arms; None where none were."""

    held_out_size: Count | None = None
    """Number of those images."""

    p_value: Share | None = None
    """The p-value against the saved arm, as in `ArmComparison`; None for that arm itself."""


@dataclass(frozen=True, kw_only=True)
class MemberResult:
    """What one member of an ensemble came to by itself; its own results.json says the rest."""

    seed: int
    """Seed that it was trained with, and the name of its folder in members/."""

    test_errors: Count | None
    """Mistakes on the images that the ensemble was tested on; None where it was not."""

    test_error_rate: Share | None
    """test_errors divided by the number of those images, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class ArmComparison:
    """Two arms on the same images."""

    first: str
    """Name of an arm."""

    second: str
    """Name of another one."""

    only_first_wrong: Count
    """Images on which the first errs and the second does not."""

    only_second_wrong: Count
    """Images on which the second errs and the first does not."""

    p_value: Share
    """The p-value of the exact McNemar test, corrected for the number of pairs of arms (Holm)."""


@with_config(ConfigDict(allow_inf_nan=False))
@dataclass(frozen=True, kw_only=True)
class Results:
    """What a run came to: the content of results.json, whose keys are these names in this order.

    A run whose images have no labels was not tested: what is said of tests is None then, and its keys are
    absent from the file. In a run without a baseline what is said of the baseline is None.
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
    """Epoch that the saved weights are of, from 1: the last, or the best on validation images."""

    folds: Count = 0
    """Number of folds of the cross-validation; 0 where there was none."""

    test_errors: Count | None = None
    """Mistakes of the saved classifier on the test images; with folds, of their classifiers."""

    test_error_rate: Share | None = None
    """test_errors / test_size, 0 to 1."""

    test_interval: Interval | None = None
    """95 % Wilson interval of test_error_rate for so many images; it does not hold the spread over seeds."""

    baseline_test_errors: Count | None = None
    """Mistakes of the supervised baseline on the same images."""

    baseline_test_error_rate: Share | None = None
    """baseline_test_errors / test_size, 0 to 1."""

    baseline_test_interval: Interval | None = None
    """95 % Wilson interval of baseline_test_error_rate."""

    test_size: Annotated[int, Ge(1)] | None = None
    """Number of test images; of labelled images, each tested in one fold, where there are folds."""

    decision: Decision | None = None
    """Whether what the recipe adds to its baseline, the GAN or learning from the unlabelled images, "helped"
    or "hurt", or "undecided": McNemar's test at 5 %. Of several arms the recipe's own is compared, whichever
    is saved. None without a baseline."""

    p_value: Share | None = None
    """The p-value of that test, exact, 0 to 1; of several arms as in `comparisons`, corrected for the number
    of pairs. None without a baseline."""

    arms: tuple[ArmResult, ...] = ()
    """The models that were compared at equal time, the recipe's own first; none without `minutes` or arms."""

    saved_arm: str | None = None
    """Name of the arm whose model is saved."""

    comparisons: tuple[ArmComparison, ...] = ()
    """Every pair of arms."""

    interval_method: str | None = None
    """Kind of the intervals of the arms' error rates, in words."""

    tested_on_held_out: bool = False
    """True in a run with arms whose error rates are of the labelled images that were held out, as it has no
    test set. Of several arms, these images chose the one that is saved."""

    members: tuple[MemberResult, ...] = ()
    """The members of an ensemble in the order of their seeds, `test_errors` and `baseline_test_errors` being
    those of the averaged probabilities of all of them; none for a single model."""

    train_seconds: Seconds
    """Duration of all trainings, over all resumes, in seconds."""

    seconds_per_epoch: Seconds
    """Duration of an epoch of the result's training, on average."""

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
        """Mistakes of the saved classifier; None for a run that was not tested."""
        return self._error_rate(self.test_errors, self.test_error_rate, self.test_interval)

    def arm(self, name: str) -> ArmResult | None:
        """The arm of a name; None where there is none."""
        return next((arm for arm in self.arms if arm.name == name), None)

    def error_rate_of(self, arm: ArmResult) -> ErrorRate | None:
        """Mistakes of an arm on the images that all are tested on."""
        return self._error_rate(arm.test_errors, arm.test_error_rate, arm.interval)

    def p_value_between(self, first: str, second: str) -> float:
        """The p-value of two arms, in either order, as in `ArmComparison`."""
        return next(
            each.p_value
            for each in self.comparisons
            if {each.first, each.second} == {first, second}
        )

    @property
    def baseline_test(self) -> ErrorRate | None:
        """Mistakes of the baseline; None for a run without one."""
        return self._error_rate(
            self.baseline_test_errors, self.baseline_test_error_rate, self.baseline_test_interval
        )

    def _error_rate(
        self, errors: int | None, rate: float | None, interval: Interval | None
    ) -> ErrorRate | None:
        if errors is None or rate is None or interval is None or self.test_size is None:
            return None
        return ErrorRate(errors=errors, size=self.test_size, rate=rate, interval=interval)

    def as_json(self) -> dict[str, Any]:
        """The content of results.json."""
        absent = set() if self.test else {"folds", *_OF_TESTS, *_OF_BASELINE}
        absent |= set() if self.arms else _OF_ARMS
        absent |= set() if self.saved_arm else {"saved_arm"}
        absent |= set() if self.members else {"members"}
        names = (field.name for field in fields(self))
        return {name: getattr(self, name) for name in names if name not in absent}


_OF_ARMS = {"arms", "comparisons", "interval_method", "tested_on_held_out"}
_OF_TESTS = ("test_size", "test_errors", "test_error_rate", "test_interval")
_OF_BASELINE = (
    "baseline_test_errors",
    "baseline_test_error_rate",
    "baseline_test_interval",
    "decision",
    "p_value",
)
_RESULTS = TypeAdapter(Results)


def write_results(path: Path, results: Results) -> None:
    """Writes a results.json, whole or not at all."""
    write_json(path, results.as_json())


def read_results(path: Path) -> Results:
    """Reads a results.json, of this version or an earlier one; keys that are unknown are ignored.

    Raises:
        UserError: the file is missing or damaged; the line names it, and the key whose value is missing or
            of another kind.
    """
    results = read_json_as(path, _RESULTS, _EXPECTED)
    # Of each group all or nothing; a baseline was tested on the classifier's own test images.
    needed: tuple[str, ...] = ()
    for group in (_OF_BASELINE, _OF_TESTS):
        if needed or any(getattr(results, name) is not None for name in group):
            needed = (*needed, *group)
    for name in needed:
        if getattr(results, name) is None:
            raise UserError(
                f"{path}: expected {_EXPECTED}, got another file or a damaged one ({name}: Field required)"
            )
    return results
