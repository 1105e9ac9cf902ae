"""The plan of a study: everything that is decided before the first participant, and not changed after."""

from dataclasses import dataclass
from typing import Literal

from convergan.errors import UserError

REAL = "real"
"""The name of the set of real images."""

RESERVE = 10
"""Images of each kind that a timed study has to spare, for those that were seen before a reload."""

CONSENT = """\
You will look at images, one after another. Some are real, others were made by a computer program. For
each image you say which of the two you think it is.

Your answers and the time that each takes are stored without your name. If you came here from a recruiting
platform, its identifier for you is stored only in a scrambled form that cannot be read back.

Taking part is voluntary. You may stop at any time by closing the page, and you may have your answers
deleted: the last page shows a code to ask for that with."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of a study. An image is "real" or "generated"; a set of generated images and a kind of
    feedback make an arm."""

    title: str = "Real or generated?"
    """What participants see above the study."""

    trials: int = 100
    """Images that each participant judges, half of them real, half generated; an even number."""

    participants: int = 40
    """Participants wanted in each arm. Who starts and does not finish is replaced."""

    feedback: Literal["none", "after-each", "both"] = "none"
    """Whether participants are told after each answer if it was right; `both` makes arms of each."""

    exposure: Literal["unlimited", "timed"] = "unlimited"
    """`unlimited`: an image stays until it is answered, as in the paper. `timed`: it is shown for a moment,
    then masked; 10 ms less after a right answer, 30 ms more after a wrong one, 100 to 1,000 ms."""

    practice: int = 6
    """Images to practise on first, always with feedback, from images that are in no trial; an even number."""

    checks: int = 4
    """Trials that say which answer to give. Who misses two or more is not counted."""

    images: int = 500
    """Images of each set that are used at most, drawn with the seed: fewer images get more votes each."""

    size_px: int | None = None
    """Width and height that every image is brought to. Unset: that of the smallest image, at most 256."""

    hours: int = 24
    """How long after its start a participant may go on with a session."""

    contact: str = ""
    """Whom participants may write to: an address, shown on the first and on the last page."""

    consent: str = ""
    """What participants agree to before they start, in place of the usual text; blank lines separate
    paragraphs. `--consent "$(cat FILE)"` takes it from a file."""

    seed: int = 0
    """Decides which images are used and, with a secret that every study draws for itself, which participant
    sees which in what order."""

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("title", self.title.strip(), "some text"),
            ("trials", self.trials >= 2 and self.trials % 2 == 0, "an even number, 2 or more"),
            ("participants", self.participants >= 1, "1 or more"),
            (
                "practice",
                self.practice >= 0 and self.practice % 2 == 0,
                "an even number, 0 or more",
            ),
            (
                "checks",
                self.checks in (0, *range(3, self.trials + 1)),
                "0, or 3 to the number of trials (two misses must not be all of them)",
            ),
            ("images", self.images >= 1, "1 or more"),
            ("size-px", self.size_px is None or 8 <= self.size_px <= 1024, "8 to 1024"),
            ("hours", self.hours >= 1, "1 or more"),
        ):
            if not holds:
                got = getattr(self, name.replace("-", "_"))
                raise UserError(f"{name}: expected {expected}, got {got!r}")

    @property
    def timed(self) -> bool:
        """Whether images are shown for a moment only."""
        return self.exposure == "timed"

    @property
    def practice_images(self) -> int:
        """Images of each set that are kept for practice."""
        return self.practice // 2 + (RESERVE if self.timed and self.practice else 0)

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
