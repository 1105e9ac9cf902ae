"""metadata.csv: which images have which label."""

import csv
from pathlib import Path, PurePosixPath

from convergan.data.decode import SUFFIXES
from convergan.data.undecoded import Label
from convergan.errors import UserError


def read_metadata(folder: Path, names: list[str]) -> list[tuple[str, Label, bool]]:
    """(name, label, whether it is a test image) of each of `names`, as `folder/metadata.csv` says.

    Its columns: `file_name`, relative to the folder; `label`, empty where unknown; and perhaps `split`,
    "train" or "test" (empty: "train"). Others are passed over. An image that it does not name is an
    unlabelled training image.

    Args:
        names: the folder's images, relative to it, as in `find_images`.

    Raises:
        UserError: no such columns; a file that is absent, no image, or named twice; another split.
    """
    file = folder / "metadata.csv"
    known = dict.fromkeys(names)
    listed: dict[str, tuple[Label, bool]] = {}
    try:
        # utf-8-sig: spreadsheets begin their UTF-8 with a byte order mark.
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            _require_columns(file, list(rows.fieldnames or []))
            for row in rows:
                where = f"{file} line {rows.line_num}"
                name = _image(where, folder, row["file_name"] or "", known)
                if name in listed:
                    raise UserError(f"{where}: expected each file once, got {name!r} again")
                listed[name] = (_label(where, row), _is_test(where, row))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: expected comma-separated values in UTF-8, got {error}") from error
    return [(name, *listed.get(name, (None, False))) for name in names]


def _require_columns(file: Path, columns: list[str]) -> None:
    if not {"file_name", "label"} <= set(columns):
        got = ", ".join(columns) or "an empty file"
        raise UserError(f"{file}: expected the columns file_name and label, got {got}")


def _image(where: str, folder: Path, written: str, known: dict[str, None]) -> str:
    name = PurePosixPath(written.strip()).as_posix()
    if name in known:
        return name
    if not (folder / name).is_file():
        raise UserError(
            f"{where}: expected an image in {folder}, got {written!r}, which is not there"
        )
    raise UserError(
        f"{where}: expected a file in {folder} named {', '.join(sorted(SUFFIXES))}, got {written!r}"
    )


def _label(where: str, row: dict) -> Label:
    if None in row:  # where DictReader puts the fields beyond the header's
        raise UserError(f"{where}: expected as many fields as the header has, got more")
    return (row["label"] or "").strip() or None


def _is_test(where: str, row: dict) -> bool:
    split = (row.get("split") or "").strip()
    if split not in ("", "train", "test"):
        raise UserError(f"{where}: expected the split train or test, got {split!r}")
    return split == "test"
