"""The table and the JSON of scores, also with the widest and the worst numbers."""

import json
import math
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from convergan.errors import UserError
from convergan.json_files import read_json, write_json
from convergan.metrics.metric import Comparison, Estimate
from convergan.scoring.table import print_scores, read_scores, scores_as_dict
from convergan.statistics.intervals import Interval, p_value_of_interval

NUMBERS = {
    "Inception score": 123.456,
    "FID": 1234.56,
    "KID": 1.23456,
    "precision": 1.0,
    "density": 12.345,
}


def estimate(name: str, value: float) -> Estimate:
    method = "delta method" if name == "FID" else "closed form"
    return Estimate(name, value, Interval(value * 0.99, value * 1.01), method)


def compared(name: str, value: float, interval: Interval | None) -> Comparison:
    p_value = None if interval is None else p_value_of_interval(-value, interval)
    return Comparison(
        name, estimate(name, value), estimate(name, 0), -value, interval, p_value, p_value
    )


def lines(*arguments: list[object]) -> list[str]:
    console = Console(width=80, record=True, file=StringIO())
    print_scores(console, *arguments)  # type: ignore[arg-type]
    return console.export_text().splitlines()


def test_the_widest_numbers_fit() -> None:
    estimates = [estimate(name, value) for name, value in NUMBERS.items()]
    comparisons = [
        compared(name, value, Interval(-value * 1.01, -value * 0.99))
        for name, value in NUMBERS.items()
    ]
    _, *rows, closed, delta, corrected = lines(estimates, comparisons)
    assert len(rows) == len(NUMBERS)
    assert all(row.startswith(name) for row, name in zip(rows, NUMBERS, strict=True))
    assert [row.split()[-1] for row in rows] == ["worse", "better", "better", "worse", "worse"]
    assert closed == "intervals of Inception score, KID, precision, density: closed form"
    assert delta == "intervals of FID: delta method"
    assert corrected.endswith("verdicts are corrected (Holm) for all 5")


def test_every_verdict_and_what_has_none() -> None:
    estimates = [estimate(name, value) for name, value in NUMBERS.items()]
    comparisons = [
        compared("FID", 1, Interval(-2, 1)),
        compared("KID", 1, Interval(-2, -1)),
        compared("precision", 1, None),
    ]
    _, *rows, _, _, _ = lines(estimates, comparisons)
    ends = ["not compared", "undecided", "better", "no interval", "not compared"]
    for row, name, end in zip(rows, NUMBERS, ends, strict=True):
        assert row.startswith(name) and row.rstrip().endswith(end)


def test_json_without_numbers_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    kid = Estimate("KID", math.nan, Interval(-math.inf, math.nan), "by hand", 0.5)
    entries = scores_as_dict([("kid", kid)], [], {"kid": {"metric": "kid", "count": 3}})
    write_json(path, {"images": {"place": "some"}, "scores": entries})
    content = read_json(path)
    assert content["scores"][0]["value"] is None
    assert content["scores"][0]["interval"] == [None, None]
    earlier = read_scores(path)
    loaded, fingerprint = earlier.numbers["KID"]
    assert math.isnan(loaded.value) and loaded.interval is None and loaded.stdev == 0.5
    assert loaded.method == "by hand"
    assert fingerprint == earlier.fingerprint("kid") == {"metric": "kid", "count": 3}
    assert earlier.fingerprint("is") is None


@pytest.mark.parametrize(
    "entry",
    [
        {"value": float("inf")},
        {"value": "3"},
        {"stdev": "x"},
        {"interval": [1]},
        {"interval": [1, "x"]},
        {"method": 3},
        {"fingerprint": []},
        {"name": None},
    ],
)
def test_an_entry_of_another_kind_is_one_line(entry: dict, tmp_path: Path) -> None:
    kid = Estimate("KID", 1.0, Interval(0.5, 1.5), "by hand", 0.5)
    (valid,) = scores_as_dict([("kid", kid)], [], {"kid": {"metric": "kid", "count": 3}})
    content = {"images": {"place": "some"}, "scores": [{**valid, **entry}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"a\.json: expected the JSON of .* \(.+\)$") as caught:
        read_scores(tmp_path / "a.json")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[" * 100_000, '{"scores": [1], "images": {"place": "a"}}']
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(
        UserError, match=r"a\.json: expected the JSON of convergan score, got another"
    ):
        read_scores(tmp_path / "a.json")
    with pytest.raises(UserError, match=r"b\.json: expected the JSON .*, got No such file"):
        read_scores(tmp_path / "b.json")


def test_files_of_before_and_of_after(tmp_path: Path) -> None:
    entry = {"name": "KID", "value": 1, "stdev": None, "interval": [0, 2], "replicates": 20}
    content = {"images": {"place": "some"}, "scores": [{**entry, "fingerprint": {}}]}
    path = tmp_path / "a.json"
    write_json(path, content)
    loaded, _ = read_scores(path).numbers["KID"]
    assert loaded == Estimate("KID", 1.0, Interval(0, 2), "")
    write_json(path, {**content, "schema": 99})
    with pytest.raises(UserError, match=r"a\.json: expected the JSON of convergan score"):
        read_scores(path)


def test_an_interval_that_does_not_hold_is_told_of_in_words() -> None:
    none = Estimate("FID", 3.0, None, "no valid method is known for fewer than 1,000 images")
    _, row, message = lines([none], [])
    assert row.split() == ["FID", "3.00", "none"]
    assert message == "no interval of FID: no valid method is known for fewer than 1,000 images"
