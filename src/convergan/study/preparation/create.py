"""Creation of a study: from folders of images to a database."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sqlalchemy import insert, inspect
from sqlalchemy.exc import OperationalError

from convergan.errors import UserError, one_line
from convergan.files import written_aside
from convergan.images.decode import Unreadable, decode_in_order
from convergan.images.encode import to_png
from convergan.progress_bar import Progress
from convergan.study.collect.outcome import CODES
from convergan.study.design.plan import CONSENT, CONTROL, REAL, ArmPlan, Plan, arms_of
from convergan.study.design.staircase import FEWEST_TRIALS
from convergan.study.preparation.image_files import ImageFile, choose_files, common_size_px
from convergan.study.preparation.tell_tales import Looks, looks_of, tell_tales
from convergan.study.storage.audit import note
from convergan.study.storage.database import Database
from convergan.study.storage.keys import Keys, new_code, new_key_file, new_token
from convergan.study.storage.migrations import upgrade
from convergan.study.storage.schema import Arm, Image, Study


@dataclass(frozen=True)
class Created:
    """Result of `create_study`."""

    database: Database
    arms: list[ArmPlan]
    images: dict[str, int]
    """Number of images in each set."""
    size_px: int
    keys: Keys
    warnings: list[str]
    """Sentences on findings that the plan cannot give, and on differences that give the sets away."""


def create_study(
    location: str,
    key_file: Path,
    plan: Plan,
    *,
    real: Path,
    generated: Mapping[str, Path],
    controls: Path | None = None,
    progress: Progress | None = None,
) -> Created:
    """Create the database of a study: the plan, and the images as participants will get them.

    Every image, real or generated, is decoded, resized to one size and encoded alike, to files of one length.

    Args:
        location: a new file, or the URL of a database without a study, as for `Database`.
        key_file: a new file for the study's secrets.
        plan: the settings.
        real: the folder of real images.
        generated: the folders of generated images, by the name of the set.
        controls: the folder of obvious fakes; needed if the plan has controls.
        progress: a function that is called with (images done, images in all).

    Raises:
        UserError: the study exists already, there are too few images, or an image cannot be read.
    """
    plan = replace(plan, consent=plan.consent or CONSENT)
    sets = list(generated)
    for name, images in ((REAL, "real images"), (CONTROL, "obvious fakes")):
        if name in sets:
            raise UserError(f"arm: expected a name other than {name!r}, which the {images} have")
    if (controls is None) != (plan.controls == 0):
        folder = "none" if controls is None else f"{controls} and 0 controls"
        raise UserError(
            f"control_images: expected a folder of obvious fakes if controls is above 0, got {folder}"
        )
    files = choose_files(
        plan, {REAL: real, **generated, **({CONTROL: controls} if controls else {})}
    )
    size_px = plan.size_px or common_size_px(files)
    database = Database(location)
    _require_new(database)
    keys = new_key_file(key_file)
    try:
        if database.is_sqlite:
            # Closed before it is moved: the files that SQLite keeps next to it would stay behind.
            with (
                written_aside(Path(str(database)), private=True) as path,
                closing(Database(str(path))) as new,
            ):
                looks = _fill(new, keys, plan, sets, files, size_px, progress)
        else:
            looks = _fill(database, keys, plan, sets, files, size_px, progress)
    except BaseException:
        key_file.unlink()
        raise
    return Created(
        database=database,
        arms=arms_of(plan, sets),
        images={
            name: sum(file.images == name for file in files)
            for name in (REAL, *sets, *([CONTROL] if controls else []))
        },
        size_px=size_px,
        keys=keys,
        warnings=_doubts(plan) + tell_tales(looks),
    )


def _doubts(plan: Plan) -> list[str]:
    doubts = []
    if plan.timed and plan.trials <= FEWEST_TRIALS:
        doubts.append(
            f"trials: {plan.trials} are too few for a participant's threshold, which needs more than"
            f" {FEWEST_TRIALS}"
        )
    return doubts


def _require_new(database: Database) -> None:
    if database.is_sqlite:
        if Path(str(database)).exists():
            raise UserError(f"out: expected a new file, got {database}, which exists")
        return
    try:
        has_study = inspect(database.engine).has_table("study")
    except OperationalError as error:
        raise UserError(
            f"out: expected a database at {database}, got none: {one_line(error.orig)}"
        ) from None
    if has_study:
        raise UserError(f"out: expected a database without a study, got {database}, which has one")


def _fill(
    database: Database,
    keys: Keys,
    plan: Plan,
    sets: list[str],
    files: Sequence[ImageFile],
    size_px: int,
    progress: Progress | None,
) -> list[Looks]:
    """Create and fill the tables, all in one transaction; return the features of each image."""
    looks = []
    with database.writing() as session:
        upgrade(session.connection())
        length = 0
        pictures = decode_in_order([file.path for file in files], size=(size_px, size_px))
        for number, (file, pixels) in enumerate(zip(files, pictures, strict=True), start=1):
            if isinstance(pixels, Unreadable):
                raise UserError(f"{file.path}: expected a readable image, got {pixels}")
            looks.append(looks_of(file, pixels))
            content = to_png(np.broadcast_to(pixels, (size_px, size_px, 3)), compress=False)
            length = len(content)
            session.execute(
                insert(Image).values(
                    images=file.images,
                    name=file.name,
                    generated=file.images != REAL,
                    practice=file.practice,
                    sha256=hashlib.sha256(Path(file.path).read_bytes()).hexdigest(),
                    content=content,
                )
            )
            if progress is not None:
                progress(number, len(files))
        session.add_all(
            Arm(name=arm.name, images=arm.images, feedback=arm.feedback)
            for arm in arms_of(plan, sets)
        )
        session.add(
            Study(
                id=1,
                plan=asdict(plan),
                codes={outcome: new_code() for outcome in CODES},
                size_px=size_px,
                content_length=length,
                quota=plan.participants,
                paused=False,
                created_at=time.time(),
                order_secret=new_token(),
                key_fingerprint=keys.fingerprint,
            )
        )
        note(session, "created", f"convergan {version('convergan')}")
    return looks
