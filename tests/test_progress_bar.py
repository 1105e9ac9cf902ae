"""Progress of long commands in a terminal and in a log."""

import io

import pytest
from rich.console import Console

from convergan.progress_bar import progress_bar


def logged(monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False, unit: str = "images") -> str:
    """Content of a log after 200 s in which 200 of 1,000 images were done."""
    now = [5.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    with progress_bar("predicting", unit=unit, quiet=quiet, console=console) as progress:
        for done in range(200):
            now[0] += 1
            progress(done + 1, 1000)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_log_has_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    assert logged(monkeypatch).splitlines() == [
        "predicting: 60 of 1,000 images",
        "predicting: 120 of 1,000 images",
        "predicting: 180 of 1,000 images",
    ]
    assert logged(monkeypatch, unit="").splitlines()[0] == "predicting: 60 of 1,000"
    assert logged(monkeypatch, quiet=True) == ""


def test_what_takes_less_is_silent_in_a_log(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar("predicting") as progress:
        progress(1, 2)
    assert capfd.readouterr() == ("", "")


def test_results_on_the_standard_output_stay_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [5.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress_bar("predicting") as progress:
        now[0] += 61
        progress(1, 2)
    assert capsys.readouterr() == ("", "predicting: 1 of 2 images\n")
