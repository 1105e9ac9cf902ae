"""Creation of a study from folders: which images, how they are stored, what is refused."""

import os
from collections import Counter
from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import select

from convergan.errors import UserError
from convergan.images.decode import decode
from convergan.study.design.plan import CONSENT, Plan
from convergan.study.preparation.create import create_study
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Arm, Image, Study
from studies import QUICK, write_images


def images_of(study):
    with study.database.reading() as session:
        return session.execute(
            select(Image.images, Image.name, Image.generated, Image.practice, Image.content)
            .order_by(Image.id)
        ).all()  # fmt: skip


def test_what_is_planned_is_stored(make_study, folders, backend):
    plan = replace(QUICK, feedback="both", seed=5, contact="us@example.org")
    sets = {"random": folders["random"], "best": folders["best"]}
    study = make_study(plan, backend=backend, generated=sets)
    with study.database.reading() as session:
        stored = session.get_one(Study, 1)
        assert Plan(**stored.plan) == replace(plan, consent=CONSENT)
        assert (stored.quota, stored.paused, stored.size_px) == (1000, False, 16)
        assert set(stored.codes) == {"completed", "attention", "declined", "full"}
        assert len(set(stored.codes.values())) == 4
        arms = session.scalars(select(Arm).order_by(Arm.id)).all()
    assert [arm.name for arm in arms] == [
        "random, no feedback", "random, feedback", "best, no feedback", "best, feedback",
    ]  # fmt: skip
    rows = images_of(study)
    assert Counter(row.images for row in rows) == {"real": 80, "random": 80, "best": 80}
    assert all(row.generated == (row.images != "real") for row in rows)
    practice = Counter(row.images for row in rows if row.practice)
    assert practice == {"real": 1, "random": 1, "best": 1}


def test_both_kinds_of_image_are_files_of_one_kind(make_study, folders, tmp_path):
    """Differences of size, format and metadata do not remain."""
    generated = tmp_path / "generated"
    generated.mkdir()
    for number in range(20):
        exif = Picture.Exif()
        exif[0x010E] = "made by a generator"
        picture = Picture.effect_noise((40 + number, 30), 60).convert("RGB")
        picture.save(generated / f"{number}.jpg", exif=exif, comment=b"generated")
    study = make_study(generated={"made": generated})
    rows = images_of(study)
    assert len({len(row.content) for row in rows}) == 1
    with study.database.reading() as session:
        assert session.get_one(Study, 1).content_length == len(rows[0].content)
    for row in rows:
        with Picture.open(BytesIO(row.content)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (16, 16))
            assert picture.info == {} and not picture.getexif()
    # One header, and one end.
    assert len({row.content[:33] for row in rows}) == len({row.content[-12:] for row in rows}) == 1


def test_pixels_are_what_the_decoder_gives(make_study, folders):
    study = make_study(replace(QUICK, size_px=12))
    for row in images_of(study)[:20]:
        file = folders["real" if not row.generated else "random"] / row.name
        with Picture.open(BytesIO(row.content)) as picture:
            assert np.array_equal(np.asarray(picture), decode(file, channels=3, size=(12, 12)))


def test_the_order_in_the_database_does_not_tell_the_sets_apart(make_study):
    kinds = [row.generated for row in images_of(make_study())]
    assert 50 < sum(first != second for first, second in pairwise(kinds)) < 110


def test_the_seed_draws_the_images(make_study):
    plan = replace(QUICK, images=10)

    def names(seed):
        return [row.name for row in images_of(make_study(replace(plan, seed=seed)))]

    assert len(names(0)) == 20 and names(0) == names(0) != names(1)


def test_names_are_relative_with_their_folders(make_study, tmp_path):
    for part in "ab":
        write_images(tmp_path / "nested" / part, ("stripes",), 5)
    study = make_study(generated={"nested": tmp_path / "nested"})
    assert {"a/0000.png", "b/0004.png"} <= {row.name for row in images_of(study)}


def test_too_few_images_and_unreadable_ones_are_named(tmp_path, folders):
    small = write_images(tmp_path / "few", ("circles",), 2)
    broken = write_images(tmp_path / "broken", ("circles",), 3)
    (broken / "0001.png").write_bytes(b"no image")
    for generated, expected in (
        (small, r"few: expected at least 3 images, so that nobody sees one twice, got 2"),
        (broken, r"broken/0001\.png: expected a readable image, got not an image"),
        (tmp_path / "absent", r"absent: expected an image or a folder of images"),
    ):
        location, key = tmp_path / "study.db", tmp_path / "study.key"
        with pytest.raises(UserError, match=expected):
            create_study(
                str(location), key, QUICK, real=folders["real"], generated={"g": generated}
            )
        assert not location.exists() and not key.exists()
    assert sorted(os.listdir(tmp_path)) == ["broken", "few"]


def test_what_exists_is_not_overwritten(make_study, folders, tmp_path, backend):
    study = make_study(backend=backend)
    study.database.close()
    expected = "expected a new file" if backend == "sqlite" else "database without a study"
    with pytest.raises(UserError, match=expected):
        create_study(
            study.location, tmp_path / "other.key", QUICK,
            real=folders["real"], generated={"g": folders["random"]},
        )  # fmt: skip
    open_study(study.location).close()
    assert not (tmp_path / "other.key").exists()


def test_real_is_the_name_of_the_real_images(folders, tmp_path):
    with pytest.raises(UserError, match="arm: expected a name other than 'real'"):
        create_study(
            str(tmp_path / "s.db"), tmp_path / "s.key", QUICK,
            real=folders["real"], generated={"real": folders["random"]},
        )  # fmt: skip


def test_what_gives_the_sets_away_is_said(folders, tmp_path):
    grey = tmp_path / "grey"
    grey.mkdir()
    for number in range(10):
        Picture.effect_noise((20, 20), 60).save(grey / f"{number}.jpg")
    created = create_study(
        str(tmp_path / "s.db"), tmp_path / "s.key", QUICK,
        real=folders["real"], generated={"grey": grey, "random": folders["random"]},
    )  # fmt: skip
    warnings = [warning.split(";")[0] for warning in created.warnings]
    assert warnings[:3] == [
        "format: 100 % of the images of grey are JPEG, 0 % of the real ones",
        "size: 100 % of the images of grey are 20x20, 0 % of the real ones",
        "colour: 100 % of the images of grey are grey, 0 % of the real ones",
    ]
    # Stripes and noise are sharper than discs: a cue that lies in the pictures, which the warning says.
    assert all(warning.startswith("sharpness: ") for warning in warnings[3:])
    assert created.images == {"real": 80, "grey": 10, "random": 80}
    assert created.size_px == 16


@pytest.mark.parametrize(
    ("exposure", "trials", "warned"),
    [("timed", 20, True), ("timed", 40, True), ("timed", 42, False), ("unlimited", 20, False)],
)
def test_a_staircase_without_a_threshold_is_said(folders, tmp_path, exposure, trials, warned):
    created = create_study(
        str(tmp_path / "s.db"), tmp_path / "s.key", Plan(exposure=exposure, trials=trials),
        real=folders["real"], generated={"random": folders["random"]},
    )  # fmt: skip
    expected = (
        f"trials: {trials} are too few for a participant's threshold, which needs more than 40"
    )
    assert created.warnings == [expected] * warned


@pytest.mark.parametrize(("sizes", "expected"), [((300, 400), 256), ((60, 40), 40), ((4, 9), 8)])
def test_the_default_size_is_the_smallest_images(tmp_path, sizes, expected):
    for name, size_px in zip(("real", "made"), sizes, strict=True):
        write_images(tmp_path / name, ("circles",), 4, size_px)
    created = create_study(
        str(tmp_path / "s.db"), tmp_path / "s.key", QUICK,
        real=tmp_path / "real", generated={"made": tmp_path / "made"},
    )  # fmt: skip
    assert created.size_px == expected


def test_controls_need_a_folder_of_obvious_fakes(make_study, folders):
    for plan, controls in ((replace(QUICK, controls=3), None), (QUICK, folders["best"])):
        with pytest.raises(UserError, match=r"^control_images: expected a folder of obvious fakes"):
            make_study(plan, controls=controls)
    with pytest.raises(UserError, match="expected at least 90 images"):
        make_study(replace(QUICK, controls=90, trials=90), controls=folders["best"])
    with pytest.raises(UserError, match="a name other than 'control'"):
        make_study(generated={"control": folders["best"]})
