"""The plan of a study: everything that is decided before the first participant, and not changed after."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval, Len, MultipleOf

from convergan.ranges import Checked

REAL = "real"
"""The name of the set of real images."""

CONTROL = "control"
"""The name of the set of obvious fakes."""

RESERVE = 10
"""Images of each kind that a timed study has to spare, for those that were seen before a reload."""

CONSENT = """\
You will look at images, one after another. Some are real, others were made by a computer program. For
each image you say which of the two you think it is.

Your answers and the time that each takes are stored without your name. If you came here from a recruiting
platform, its identifier for you is stored only in a scrambled form that cannot be read back.

Taking part is voluntary. You may stop at any time by closing the page, and you may have your answers
deleted: the next page and the last one show a code with which you can ask for that."""


@dataclass(frozen=True, kw_only=True)
class Plan(Checked):
    """The settings of a study. An image is "real" or "generated"; a set of generated images and a kind of
    feedback make an arm."""

    title: Annotated[str, Len(1, 1000)] = "Real or generated?"
    """What participants see above the study."""

    trials: Annotated[int, MultipleOf(2), Interval(ge=2, le=10_000)] = 100
    """Images that each participant judges, half of them real, half generated; an even number."""

    participants: Annotated[int, Interval(ge=1, le=100_000)] = 40
    """Participants wanted in each arm. Who starts and does not finish is replaced."""

    feedback: Literal["none", "after-each", "both"] = "none"
    """Whether participants are told after each answer if it was right; `both` makes arms of each."""

    exposure: Literal["unlimited", "timed"] = "unlimited"
    """`unlimited`: an image stays until it is answered, as in the paper. `timed`: it is shown for a moment,
    then masked; 10 ms less after a right answer, 30 ms more after a wrong one, 100 to 1,000 ms."""

    practice: Annotated[int, MultipleOf(2), Interval(ge=0, le=1000)] = 6
    """Images to practise on first, always with feedback, from images that are in no trial; an even number."""

    checks: Annotated[int, Interval(ge=0, le=10_000)] = 4
    """Trials that say which answer to give. Who misses two or more is not counted."""

    controls: Annotated[int, Interval(ge=0, le=10_000)] = 0
    """Obvious fakes among the trials of each participant, beyond `trials`: positive controls, without which
    nobody can say whether people looked. They count in nothing else. 8 are enough."""

    fastest_ms: Annotated[int, Interval(ge=0, le=60_000)] = 400
    """Who answers faster than this in half of the trials is flagged as careless, and left out of the
    findings, which the report gives with and without the flagged; 0: nobody."""

    longest_run: Annotated[int, Interval(ge=5, le=10_000)] = 25
    """Who gives the same answer so often in a row is flagged."""

    most_leaning: Annotated[float, Interval(gt=0, le=10)] = 1.0
    """Whose criterion is this far from 0, either way, is flagged."""

    margin: Annotated[float, Interval(gt=0, lt=0.5)] = 0.05
    """Distance from 50 % of right answers that still counts as none."""

    images: Annotated[int, Interval(ge=1, le=10**6)] = 500
    """Images of each set that are used at most, drawn with the seed: fewer images get more votes each."""

    size_px: Annotated[int, Interval(ge=8, le=1024)] | None = None
    """Width and height that every image is brought to. Unset: that of the smallest image, at most 256."""

    hours: Annotated[int, Interval(ge=1, le=8760)] = 24
    """How long after its start a participant may go on with a session."""

    contact: Annotated[str, Len(0, 1000)] = ""
    """Whom participants may write to: an address, shown on the first and on the last page."""

    consent: Annotated[str, Len(0, 100_000)] = ""
    """What participants agree to before they start, in place of the usual text; blank lines separate
    paragraphs. `--consent "$(cat FILE)"` takes it from a file."""

    seed: Annotated[int, Interval(ge=-(2**63), lt=2**63)] = 0
    """Decides which images are used and, with a secret that every study draws for itself, which participant
    sees which in what order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(bool(self.title.strip()), "title", "some text")
        self._require(
            self.checks in (0, *range(3, self.trials + 1)),
            "checks",
            "0, or 3 to the number of trials (two misses must not be all of them)",
        )

    @property
    def timed(self) -> bool:
        """Whether images are shown for a moment only."""
        return self.exposure == "timed"

    @property
    def images_judged(self) -> int:
        """Images that a participant judges and that count for something: trials and controls."""
        return self.trials + self.controls

    @property
    def practice_images(self) -> int:
        """Images of each set that are kept for practice."""
        return self.practice // 2 + (RESERVE if self.timed and self.practice else 0)

    @property
    def control_images(self) -> int:
        """Obvious fakes that a study needs."""
        return self.controls + (RESERVE if self.timed and self.controls else 0)

    @property
    def images_needed(self) -> int:
        """Images that each set must have at least, so that nobody sees one twice."""
        return self.practice_images + self.trials // 2 + (RESERVE if self.timed else 0)


@dataclass(frozen=True)
class ArmPlan:
    """What the participants of one arm get."""

    name: str
    images: str
    """The set of generated images that is shown beside the real ones."""
    feedback: bool


def arms_of(plan: Plan, sets: list[str]) -> list[ArmPlan]:
    """Feedback times the sets of generated images; named after the set, and the feedback where it varies."""
    if plan.feedback != "both":
        return [ArmPlan(name, name, plan.feedback == "after-each") for name in sets]
    return [
        ArmPlan(f"{name}, {'feedback' if feedback else 'no feedback'}", name, feedback)
        for name in sets
        for feedback in (False, True)
    ]
