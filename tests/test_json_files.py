"""JSON: the text in files, without NaN, and what is read from them."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pytest
import torch
from annotated_types import Ge
from pydantic import TypeAdapter

from convergan.errors import UserError
from convergan.json_files import (
    json_line,
    json_text,
    json_values,
    read_json,
    read_json_as,
    spread_json_text,
    write_json,
)


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Record:
    name: str
    count: Annotated[int, Ge(0)] = 3
    interval: Interval | None = None
    parts: tuple["Record", ...] = ()


EXAMPLE = Record(name="ü", interval=Interval(0.5, math.inf), parts=(Record(name="part"),))


def test_numbers_stand_on_one_line_and_come_back(tmp_path: Path) -> None:
    values = {
        "numbers": list(range(1000)),
        "names": ["a", "ü\n"],
        "nested": [{"a": None, 1: [0.1, -2e-9]}, [], {}],
        "flag": True,
    }
    write_json(tmp_path / "a.json", values)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(values)) == read_json(tmp_path / "a.json")
    assert len(text.splitlines()) < 20
    assert len(json_text({"labelled": list(range(1_000_000))})) < 7_000_000


def test_the_three_forms() -> None:
    """Compare to the letter: texts that users have in files, and programs compare, must not change."""
    assert json_line(EXAMPLE) == (
        r'{"name": "\u00fc", "count": 3, "interval": [0.5, null], '
        r'"parts": [{"name": "part", "count": 3, "interval": null, "parts": []}]}'
    )
    assert json_text(EXAMPLE).splitlines() == [
        "{",
        r'  "name": "\u00fc",',
        '  "count": 3,',
        '  "interval": [0.5,null],',
        '  "parts": [',
        "    {",
        '      "name": "part",',
        '      "count": 3,',
        '      "interval": null,',
        '      "parts": []',
        "    }",
        "  ]",
        "}",
    ]
    assert spread_json_text({"name": "ü", "interval": EXAMPLE.interval}).splitlines() == [
        "{",
        '  "name": "ü",',
        '  "interval": [',
        "    0.5,",
        "    null",
        "  ]",
        "}",
    ]
    for form in (json_text, spread_json_text):
        assert form([]) == "[]\n"


def test_numbers_of_arrays_are_plain_and_no_number_is_null() -> None:
    values = {
        "float": np.float64(0.1),
        "float32": np.float32(0.5),
        "int": np.int64(7),
        "flag": np.bool_(True),
        "array": np.array([[1.0, math.nan], [-math.inf, 2.0]]),
        "tensor": torch.tensor([1, 2]),
        "scalar": torch.tensor(math.nan),
        "nested": [{"a": (math.nan, [math.inf])}],
    }
    plain = json_values(values)
    assert plain == {
        "float": 0.1,
        "float32": 0.5,
        "int": 7,
        "flag": True,
        "array": [[1.0, None], [None, 2.0]],
        "tensor": [1, 2],
        "scalar": None,
        "nested": [{"a": [None, [None]]}],
    }
    assert type(plain["float"]) is float and type(plain["flag"]) is bool
    assert json.loads(json_text(values)) == json.loads(json_line(values)) == plain
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        json_text({"a": {1}})


def test_a_value_that_cannot_be_written_leaves_the_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": {1}})
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


DAMAGED = (b"", b"{", b"\xff", b"[" * 100_000, b"1" * 10_000)


def test_damaged_json_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in (*DAMAGED, b"[NaN]"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"^{path}: expected JSON, got .+$") as refused:
            read_json(path)
        assert len(str(refused.value)) < 600 and "\n" not in str(refused.value)


def test_what_is_written_is_read_as_its_type(tmp_path: Path) -> None:
    path, kind = tmp_path / "a.json", TypeAdapter(Record)
    for value in (
        Record(name="a"),
        Record(name="b", interval=Interval(1.0, 2.0), parts=(Record(name="c"),)),
    ):
        write_json(path, value)
        assert read_json_as(path, kind, "what was found") == value
    # A later version may tell more.
    write_json(path, {"name": "a", "more": [1]})
    assert read_json_as(path, kind, "what was found") == Record(name="a")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "name: Field required"),
        ({"name": "a", "count": "3"}, "count: Input should be a valid integer, got '3'"),
        ({"name": "a", "count": True}, "count: Input should be a valid integer, got True"),
        (
            {"name": "a", "count": -1},
            "count: Input should be greater than or equal to 0, got -1",
        ),
        ({"name": "a", "interval": [1]}, "interval.1: Field required"),
        (
            {"name": "a", "parts": [{"name": "\x1b"}, {"name": 1}]},
            "parts.1.name: Input should be a valid string, got 1",
        ),
        ([1], "Input should be an object, got [1]"),
    ],
)
def test_a_value_of_another_kind_is_named(values: object, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, values)
    with pytest.raises(UserError) as refused:
        read_json_as(path, TypeAdapter(Record), "what was found")
    assert str(refused.value) == (
        f"{path}: expected what was found, got another file or a damaged one ({reason})"
    )


def test_damage_is_one_line_for_a_type_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in DAMAGED:
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"^{path}: expected what .* \(Invalid JSON: .+\)$"):
            read_json_as(path, TypeAdapter(Record), "what was found")
    path.unlink()
    with pytest.raises(UserError, match=rf"^{path}: expected what was found, got No such file"):
        read_json_as(path, TypeAdapter(Record), "what was found")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bad\udcff.png", r"bad\udcff.png"),
        ("\udc80\udcff", r"\udc80\udcff"),
        ("\\\udcff", r"\\udcff"),
        ("\ud83dx", r"\ud83dx"),
        # No escapes of such bytes: a pair of surrogates, and a text that looks like an escape.
        ("\U0001f600", "\U0001f600"),
        (r"\udcff", r"\udcff"),
    ],
)
def test_bytes_of_a_name_that_are_no_utf8_are_read_as_escapes(
    name: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    write_json(path, Record(name=name))
    assert read_json(path)["name"] == name
    assert read_json_as(path, TypeAdapter(Record), "what was found").name == expected
