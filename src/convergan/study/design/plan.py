"""The plan of a study: settings that are fixed before the first participant."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval, Len, MultipleOf

from convergan.ranges import Checked

REAL = "real"
"""Name of the set of real images."""

CONTROL = "control"
"""Name of the set of obvious fakes."""

RESERVE = 10
"""Number of spare images of each kind in a timed study, to replace those that were seen before a reload."""

CONSENT = """\
You will look at images, one after another. Some are real; the others were made by a computer program. For
each image, you say which of the two you think it is.

Your answers are stored without your name, together with the time that each one takes, the kind of device that
you use and the size of its window. If a recruiting platform sent you here, its identifier for you is stored
only in a scrambled form that cannot be read back.

Taking part is voluntary. You may stop at any time by closing the page, and you may have your answers
deleted. The next page and the last page show a code with which you can ask for that."""


@dataclass(frozen=True, kw_only=True)
class Plan(Checked):
    """Settings of a study. Each image is "real" or "generated"; an arm is a set of generated images and a
    kind of feedback.
    """

    title: Annotated[str, Len(1, 1000)] = "Real or generated?"
    """Title that participants see."""

    trials: Annotated[int, MultipleOf(2), Interval(ge=2, le=10_000)] = 100
    """Number of images that each participant judges, half real, half generated."""

    participants: Annotated[int, Interval(ge=1, le=100_000)] = 40
    """Number of participants wanted in each arm. Participants who do not finish are replaced."""

    feedback: Literal["none", "after-each", "both"] = "none"
    """Feedback after each answer on whether it was right. `none`: only during practice. `both`: arms with and
    arms without feedback."""

    exposure: Literal["unlimited", "timed"] = "unlimited"
    """Time for which an image is shown. `unlimited`: until the answer, as in the paper. `timed`: for 100 to
    1,000 ms, followed by a mask; 10 ms less after a right answer, 30 ms more after a wrong one."""

    practice: Annotated[int, MultipleOf(2), Interval(ge=0, le=1000)] = 6
    """Number of practice images before the trials, always with feedback; no trial shows them."""

    checks: Annotated[int, Interval(ge=0, le=10_000)] = 4
    """Number of attention checks: trials that say which answer to give. Participants who miss two or more are
    not counted."""

    controls: Annotated[int, Interval(ge=0, le=10_000)] = 0
    """Number of obvious fakes among the trials of each participant, in addition to `trials`. They are
    positive controls, which show whether people looked, and are used for nothing else. 8 are enough."""

    fastest_ms: Annotated[int, Interval(ge=0, le=60_000)] = 400
    """Participants who answer faster than this in half of the trials are flagged as careless and excluded;
    the report also gives the findings with them. 0: nobody is flagged."""

    longest_run: Annotated[int, Interval(ge=5, le=10_000)] = 25
    """Participants who give the same answer this many times in a row are flagged."""

    most_leaning: Annotated[float, Interval(gt=0, le=10)] = 1.0
    """Participants who lean towards one answer this much are flagged: the absolute value of their criterion,
    the bias in signal detection theory."""

    margin: Annotated[float, Interval(gt=0, lt=0.5)] = 0.05
    """Equivalence margin: a proportion of right answers this close to 50 % counts as guessing."""

    images: Annotated[int, Interval(ge=1, le=10**6)] = 500
    """Maximum number of images used from each set, drawn with the seed; fewer images get more votes each."""

    size_px: Annotated[int, Interval(ge=8, le=1024)] | None = None
    """Width and height that every image is resized to. Unset: that of the smallest image, at most 256."""

    hours: Annotated[int, Interval(ge=1, le=8760)] = 24
    """Hours after its start in which a session can be continued."""

    contact: Annotated[str, Len(0, 1000)] = ""
    """Contact address for participants, shown on the first and the last page."""

    consent: Annotated[str, Len(0, 100_000)] = ""
    """Consent text that replaces the default one; blank lines separate paragraphs. `--consent "$(cat FILE)"`
    reads it from a file."""

    seed: Annotated[int, Interval(ge=-(2**63), lt=2**63)] = 0
    """Seed that decides which images are used and, together with a secret of the study, which images each
    participant sees, in which order."""

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
        """Return whether images are shown only for a moment."""
        return self.exposure == "timed"

    @property
    def images_judged(self) -> int:
        """Number of images that a participant judges and that count: trials and controls."""
        return self.trials + self.controls

    @property
    def practice_images(self) -> int:
        """Number of images of each set that are reserved for practice."""
        return self.practice // 2 + (RESERVE if self.timed and self.practice else 0)

    @property
    def control_images(self) -> int:
        """Number of obvious fakes that a study needs."""
        return self.controls + (RESERVE if self.timed and self.controls else 0)

    @property
    def images_needed(self) -> int:
        """Smallest number of images in each set with which nobody sees an image twice."""
        return self.practice_images + self.trials // 2 + (RESERVE if self.timed else 0)


@dataclass(frozen=True)
class ArmPlan:
    """Images and feedback that the participants of one arm get."""

    name: str
    images: str
    """Set of generated images that is shown in addition to the real ones."""
    feedback: bool


def arms_of(plan: Plan, sets: list[str]) -> list[ArmPlan]:
    """Combine the sets of generated images with feedback into arms, named after the set, and the feedback if
    it varies.
    """
    if plan.feedback != "both":
        return [ArmPlan(name, name, plan.feedback == "after-each") for name in sets]
    return [
        ArmPlan(f"{name}, {'feedback' if feedback else 'no feedback'}", name, feedback)
        for name in sets
        for feedback in (False, True)
    ]
