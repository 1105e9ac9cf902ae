"""What the terminal shows, at 80 columns, and what it does not show to a file."""

import io
import re

from rich.console import Console

from convergan.training.health import HealthWarning
from convergan.training.progress import Progress, print_verdict

LINE = {
    "epoch": 7,
    "losses": {
        "discriminator/supervised": 0.5, "discriminator/generated": 0.25,
        "generator/feature_matching": 0.04,
    },
    "test_errors": 42,
    "test_size": 500,
    "baseline_test_errors": 60,
    "seconds_per_epoch": 0.31,
}  # fmt: skip


def shown(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with Progress(console, 250, title="epoch") as progress:
        progress.steps_done(91, 3250)
        progress.epoch_ended(LINE)
        progress.warn(HealthWarning(7, "collapse", "it [collapses]", "do this"))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_sees_losses_errors_and_time() -> None:
    text = shown(terminal=True)
    losses = "losses: discriminator 0.75, generator 0.04"
    for part in ("epoch 7/250", losses, "error 8.4% (baseline 12.0%)", "0.31 s/epoch"):
        assert part in text
    assert "it [collapses]; do this" in text.replace("\n", " ")


def test_a_file_sees_warnings_alone() -> None:
    text = shown(terminal=False)
    assert "epoch 7: it [collapses]" in text and "s/epoch" not in text


def test_the_longest_numbers_fit_in_80_columns() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with Progress(console, 1200, title="fold 1 of 4: epoch") as progress:
        progress.epoch_ended({**LINE, "epoch": 1200, "seconds_per_epoch": 1234.5})
        progress.steps_done(1000, 1200)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    # What the terminal shows last, without what colours it and moves its cursor.
    *_, title, numbers, _ = re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", text).split("\n")
    assert title.startswith("fold 1 of 4: epoch 1200/1200 ") and "1234 s/epoch" in title
    assert numbers.startswith(
        "losses: discriminator 0.75, generator 0.04; error 8.4% (baseline 12.0%)"
    )
    assert max(len(title), len(numbers)) <= 80


def test_a_path_is_no_markup() -> None:
    console = Console(file=io.StringIO(), width=80)
    report = "[x]/" + "long/" * 20 + ":fire:/report.html"
    print_verdict(console, {}, "A generator.", report)
    assert console.file.getvalue() == f"A generator.\nreport: {report}\n"  # type: ignore[attr-defined]


def test_a_path_is_not_obeyed_by_the_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_verdict(console, {}, "A generator.", "a\x1b]0;title\x07\n/report.html")
    assert console.file.getvalue() == (  # type: ignore[attr-defined]
        "A generator.\nreport: a\\x1b]0;title\\x07\\n/report.html\n"
    )


def test_the_verdict_is_a_table() -> None:
    results = {
        "test_errors": 13, "test_size": 500, "test_error_rate": 0.026, "test_interval": [0.015, 0.044],
        "baseline_test_errors": 34, "baseline_test_error_rate": 0.068,
        "baseline_test_interval": [0.049, 0.094],
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=80)
    print_verdict(console, results, "The GAN helped.", "runs/demo/report.html")
    lines = console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ").splitlines()  # type: ignore[attr-defined]
    assert any(line.split()[:4] == ["supervised", "baseline", "34", "500"] for line in lines)
    assert any("2.6 %" in line and "1.5 to 4.4 %" in line for line in lines)
    assert lines[-1] == "report: runs/demo/report.html"
    assert max(map(len, lines)) <= 80
