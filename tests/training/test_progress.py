"""The output of a run on a terminal, at 80 columns, and in a file, which gets less."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from convergan.runs.epochs import EpochLine, HealthWarning
from convergan.runs.results import ArmResult, RateInterval
from convergan.training.progress import (
    ProgressEntry,
    RunProgress,
    TimeLeft,
    TrainingProgress,
    print_verdict,
)
from support import results_of

LINE = EpochLine(
    epoch=7,
    losses={
        "discriminator/supervised": 0.5,
        "discriminator/generated": 0.25,
        "generator/feature_matching": 0.04,
    },
    test_errors=42,
    test_size=500,
    baseline_test_errors=60,
    seconds_per_epoch=0.31,
)


def run_of(console: Console, epochs: int, steps: list[int]) -> RunProgress:
    """The progress of a run of several folds and a result, whose numbers of steps are given."""
    folds = len(steps) - 1
    titles = [*(f"fold {number} of {folds}: epoch" for number in range(1, folds + 1)), "epoch"]
    return RunProgress(
        console,
        [
            ProgressEntry(title=title, epochs=epochs, steps=count)
            for title, count in zip(titles, steps, strict=True)
        ],
    )


def console_text(*, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with run_of(console, 250, [3250]).training(0) as progress:
        progress.begins_after(6)
        progress.steps_done(90, 3250)
        progress.steps_done(91, 3250)
        progress.epoch_ended(LINE)
        progress.warn(HealthWarning(7, "collapse", "it [collapses]", "do this"))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_sees_losses_errors_and_time() -> None:
    text = console_text(terminal=True)
    losses = "losses: discriminator 0.75, generator 0.04"
    for part in ("epoch 7/250", losses, "error 8.4% (baseline 12.0%)", "0.31 s/epoch", " left"):
        assert part in text
    assert "it [collapses]; do this" in text.replace("\n", " ")


def test_control_characters_of_a_path_are_shown_and_not_obeyed() -> None:
    console = Console(file=io.StringIO(), width=200)
    with run_of(console, 2, [2]).training(0) as progress:
        progress.warn(HealthWarning(1, "metrics", "r\x1b[31mx/metrics.jsonl", "go\x07 on [b]"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "r\\x1b[31mx/metrics.jsonl; go\\x07 on [b]" in text
    assert "\x1b" not in text and "\x07" not in text


def test_a_log_sees_an_epochs_numbers_and_warnings() -> None:
    text = console_text(terminal=False)
    assert "epoch 7: it [collapses]" in text and "s/epoch" not in text
    assert "epoch 7/250, losses 0.75 and 0.04, error 8.4%, 1 s left\n" in text


def test_the_longest_numbers_fit_in_80_columns() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with run_of(console, 1200, [1200] * 5).training(0) as progress:
        progress.begins_after(999)
        progress.steps_done(999, 1200)
        progress.steps_done(1000, 1200)
        progress.epoch_ended(replace(LINE, epoch=1200, seconds_per_epoch=1234.5))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    # What the terminal shows last, without what colours it and moves its cursor.
    *_, title, numbers, _ = re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", text).split("\n")
    assert title.startswith("fold 1 of 4: epoch 1200/1200 ") and "1234 s/epoch" in title
    assert numbers.startswith(
        "losses: discriminator 0.75, generator 0.04; error 8.4% (baseline 12.0%)"
    )
    assert max(len(title), len(numbers)) <= 80


class Clock:
    """A time that passes when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


def train_one(
    run: RunProgress, clock: Clock, number: int, *, epochs: int, steps: int, seconds: float
) -> None:
    """Advance a training by `epochs` epochs of `steps` steps, each of them `seconds` long."""
    progress = run.training(number)
    progress.begins_after(0)
    for epoch in range(1, epochs + 1):
        for step in range(steps):
            clock.now += seconds
            progress.steps_done((epoch - 1) * steps + step + 1, epochs * steps)
        progress.epoch_ended(replace(LINE, epoch=epoch))


def test_a_log_has_a_line_a_minute_at_most_with_the_time_left_of_all_trainings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    run = run_of(console, 10, [100] * 3)
    for number in range(3):
        train_one(run, clock, number, epochs=10, steps=10, seconds=2.5)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    # Epochs take 25 s, all 30 of them 750 s: the first epoch tells, then every third.
    assert lines[0] == "3 trainings of 10 epochs will take about 12 min in all"
    assert lines[1] == ("fold 1 of 2: epoch 1/10, losses 0.75 and 0.04, error 8.4%, 12 min left")
    assert lines[2] == "fold 1 of 2: epoch 4/10, losses 0.75 and 0.04, error 8.4%, 11 min left"
    assert [line.split(",")[0] for line in lines[3:]] == [
        "fold 1 of 2: epoch 7/10", "fold 1 of 2: epoch 10/10", "fold 2 of 2: epoch 3/10",
        "fold 2 of 2: epoch 6/10", "fold 2 of 2: epoch 9/10", "epoch 2/10", "epoch 5/10",
        "epoch 8/10",
    ]  # fmt: skip
    assert lines[-1].endswith(", 50 s left")


def test_long_epochs_have_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    train_one(run_of(console, 1200, [1200]), clock, 0, epochs=4, steps=1, seconds=5000)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 1 + 4 and max(map(len, lines)) <= 80
    assert lines[0] == "this training of 1,200 epochs will take about 69 days in all"


def train_ninth_epoch(progress: TrainingProgress, clock: Clock, *, seconds: float) -> None:
    """The first epoch after a resume: ten steps of a hundred."""
    progress.begins_after(8)
    for done in range(81, 91):
        clock.now += seconds
        progress.steps_done(done, 100)
    progress.epoch_ended(replace(LINE, epoch=9))


def test_after_a_resume_only_what_is_left_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    run = run_of(console, 10, [100] * 3)
    # The first fold is finished already; the second is so but for its last two epochs.
    run.training(0).begins_after(10)
    train_ninth_epoch(run.training(1), clock, seconds=6)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    # 10 steps of this fold and 100 of the result, 6 s each.
    assert lines[0] == "the rest of 2 trainings will take about 11 min"
    assert lines[1].endswith("epoch 9/10, losses 0.75 and 0.04, error 8.4%, 11 min left")


def test_going_back_does_not_upset_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = TimeLeft([ProgressEntry(title="epoch", epochs=10, steps=100)])
    left.training_begins(0)
    for done in (*range(1, 51), *range(31, 61)):
        clock.now += 2
        left.steps_done(done)
    assert left.seconds == pytest.approx(80)


def test_a_path_is_no_markup() -> None:
    console = Console(file=io.StringIO(), width=80)
    report = "[x]/" + "long/" * 20 + ":fire:/report.html"
    print_verdict(console, results_of(), "A generator.", report)
    assert console.file.getvalue() == f"A generator.\nreport: {report}\n"  # type: ignore[attr-defined]


def test_a_path_is_not_obeyed_by_the_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_verdict(console, results_of(), "A generator.", "a\x1b]0;title\x07\n/report.html")
    assert console.file.getvalue() == (  # type: ignore[attr-defined]
        "A generator.\nreport: a\\x1b]0;title\\x07\\n/report.html\n"
    )


def test_the_verdict_is_a_table() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_verdict(console, results_of(13, 34), "The GAN helped.", "runs/demo/report.html")
    lines = console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ").splitlines()  # type: ignore[attr-defined]
    assert any(line.split()[:4] == ["supervised", "baseline", "34", "500"] for line in lines)
    assert any("2.6 %" in line and "1.5 to 4.4 %" in line for line in lines)
    assert lines[-1] == "report: runs/demo/report.html"
    assert max(map(len, lines)) <= 80


def test_trainings_whose_steps_take_longer_count_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    quick = ProgressEntry(title="baseline: epoch", epochs=1, steps=100, step_cost=1.0)
    slow = ProgressEntry(title="composed: epoch", epochs=1, steps=100, step_cost=5.0)
    left = TimeLeft([quick, slow])
    left.training_begins(0)
    for done in range(1, 51):
        clock.now += 2
        left.steps_done(done)
    # Fifty steps of two seconds, and a hundred of ten.
    assert left.seconds == pytest.approx(1100, rel=0.03)


def test_the_arms_are_a_table_that_fits_in_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80)
    interval = RateInterval(0.123, 0.456)
    arms = tuple(
        ArmResult(
            name=name,
            test_errors=1234,
            test_error_rate=0.1234,
            interval=interval,
            minutes=12.34,
            steps=9,
        )
        for name in ("composed", "consistency")
    )
    results = replace(
        results_of(1234, size=10_000),
        arms=arms,
        saved_arm="composed",
        interval_method="Wilson, 95 %",
    )
    print_verdict(console, results, "Done.", "runs/demo/report.html")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    (line,) = [line for line in text.splitlines() if line.startswith("composed")]
    words = "composed 1234 10000 12.34 % 12.3 to 45.6 % 12.3 saved"
    assert " ".join(line.split()) == words
    assert "intervals: Wilson, 95 %" in text


def planned_run(console: Console, *, plan_printed: bool) -> RunProgress:
    """The progress of two arms of 100 steps, planned to take 1 s and 0.5 s a step."""
    entries = [
        ProgressEntry(title=f"{arm}: epoch", epochs=10, steps=100, step_cost=seconds)
        for arm, seconds in (("consistency", 1.0), ("baseline", 0.5))
    ]
    return RunProgress(console, entries, planned=True, plan_printed=plan_printed)


def test_a_planned_run_has_one_estimate_which_a_slow_start_does_not_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    console = Console(file=io.StringIO(), width=80)
    run = planned_run(console, plan_printed=True)
    progress = run.training(0)
    progress.begins_after(0)
    # Five times as slow, for one epoch.
    for epoch, seconds in enumerate((5, 1, 1, 1), start=1):
        for step in range(10):
            clock.now += seconds
            progress.steps_done(10 * (epoch - 1) + step + 1, 100)
        progress.epoch_ended(replace(LINE, epoch=epoch))
        assert run.left.seconds == pytest.approx(10 * (10 - epoch) + 50)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "will take" not in text and "planned" not in text
    assert "epoch 1/10" in text and "2 min left" in text


def test_steps_that_stay_slower_than_planned_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    console = Console(file=io.StringIO(), width=80)
    run = planned_run(console, plan_printed=True)
    train_one(run, clock, 0, epochs=10, steps=10, seconds=3)
    train_one(run, clock, 1, epochs=10, steps=10, seconds=1.5)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    sentences = [line for line in lines if "planned" in line]
    # After three epochs there are 70 steps of 3 s and 100 of 1.5 s left: 6 min.
    assert sentences == [
        "steps take 3.0 times as long as planned, as on a busy machine: about 6 min left"
    ]
    assert len(sentences[0]) <= 80


def test_a_resumed_run_tells_the_rest_of_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    console = Console(file=io.StringIO(), width=80)
    progress = planned_run(console, plan_printed=False).training(0)
    train_ninth_epoch(progress, clock, seconds=5)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    # Ten steps of a second, and 100 of half a second.
    assert lines[0] == "the rest of 2 trainings will take about 1 min"


def test_the_time_left_follows_the_median_of_the_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = TimeLeft([ProgressEntry(title="epoch", epochs=10, steps=100)])
    left.training_begins(0)
    for epoch, seconds in enumerate((2, 2, 2, 40, 2)):
        for step in range(10):
            clock.now += seconds
            left.steps_done(10 * epoch + step + 1)
        left.epoch_ended()
    assert left.seconds == pytest.approx(100)


def test_tests_do_not_make_planned_steps_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = TimeLeft([ProgressEntry(title="epoch", epochs=10, steps=100)], planned=True)
    left.training_begins(0)
    for epoch in range(4):
        for step in range(10):
            clock.now += 1
            left.steps_done(10 * epoch + step + 1)
        clock.now += 30
        left.epoch_ended()
    assert left.times_planned == pytest.approx(1) and left.seconds == pytest.approx(60)


def test_members_that_are_trained_together_are_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    console = Console(file=io.StringIO(), width=80)
    joint = ProgressEntry(title="3 members: epoch", epochs=10, steps=100, trainings=3)
    members = [
        ProgressEntry(title=f"member {number} of 3: epoch", epochs=10, steps=0)
        for number in (1, 2, 3)
    ]
    run = RunProgress(console, [joint, *members])
    train_one(run, clock, 0, epochs=2, steps=10, seconds=6)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "3 trainings of 10 epochs will take about 10 min in all"
