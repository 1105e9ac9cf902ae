"""What the terminal shows, at 80 columns, and what it does not show to a file."""

import io

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
    for part in ("epoch 7/250", "D 0.75 G 0.040", "err 8.4%", "(alone 12.0%)", "0.31 s/ep"):
        assert part in text
    assert "it [collapses]; do this" in text.replace("\n", " ")


def test_a_file_sees_warnings_alone() -> None:
    text = shown(terminal=False)
    assert "epoch 7: it [collapses]" in text and "s/ep" not in text


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
