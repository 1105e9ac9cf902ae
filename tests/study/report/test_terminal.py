import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from convergan.study.report import StudyReport
from convergan.study.report.terminal import print_report


def printed(report: StudyReport, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_report(console, report)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ")


def test_every_number_stands_there_whole(report: StudyReport) -> None:
    text = printed(report)
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    for arm in report.findings.arms:
        assert f"{arm.name}: 40 participants, 4,000 votes" in text
        for share in (arm.accuracy, arm.error_on_generated, arm.error_on_real):
            assert share and share.participants and share.participants_and_images and share.naive
            assert f"{100 * share.value:.1f} %" in text
            for low, high in (share.participants, share.participants_and_images, share.naive):
                assert f"{100 * low:.1f} to {100 * high:.1f} %" in text
        assert arm.d_prime and f"{arm.d_prime.value:.2f}" in text
    [comparison] = report.findings.comparisons
    assert f"{100 * comparison.accuracy.value:+.1f}" in text
    assert "2 participants were excluded" in text and "Not available" not in text


@pytest.mark.parametrize(
    "names",
    [
        ("SIMULATED-samples, feedback", "SIMULATED-samples, no feedback"),
        ("samples_of_the_last_checkpoint", "samples_of_the_final_checkpoin"),
        ("a" * 70 + "b", "a" * 70 + "c"),
    ],
)
def test_long_names_and_titles_of_columns_are_not_cut(
    report: StudyReport, names: tuple[str, str]
) -> None:
    original = report.findings
    arms = [replace(arm, name=name) for arm, name in zip(original.arms, names, strict=True)]
    comparison = replace(original.comparisons[0], first=names[0], second=names[1])
    findings = replace(original, arms=arms, comparisons=[comparison])
    text = printed(replace(report, findings=findings))
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    assert re.search(r"points of +accuracy, 2nd", text), "learning is said in words"
    assert re.search(r"chance +alpha +half − 1st +conclusion", text)


def test_the_verdict_ends_it(report: StudyReport) -> None:
    last = " ".join(printed(report).split("\n\n")[-1].split())
    assert last.startswith("People were right in 7") and "in arm “random”" in last
    assert last.endswith("the arms differ (p below 0.001).")


def test_many_arms_get_a_line_each(many_arms: StudyReport) -> None:
    text = printed(many_arms)
    assert max(map(len, text.splitlines())) <= 80
    first = many_arms.findings.arms[0]
    assert first.accuracy.participants
    low, high = first.accuracy.participants
    assert f"{100 * first.accuracy.value:.1f} ({100 * low:.1f}–{100 * high:.1f})" in text
    assert "and 11 more" in text, "of 21 comparisons"
    assert "scores of sets with errors: rho" in text
    assert "Not available from these data" in text and "learning curve" in text


def test_names_are_no_markup(report: StudyReport) -> None:
    arms = [replace(arm, name=f"[red]{arm.name}[/bold]") for arm in report.findings.arms]
    renamed = replace(report, title="[bold]x[/]", findings=replace(report.findings, arms=arms))
    text = printed(renamed)
    assert "[bold]x[/]: 80 participants" in text and "[red]random[/bold]: 40" in text


def test_names_are_not_obeyed_by_the_terminal(report: StudyReport) -> None:
    arms = [replace(arm, name=f"\x1b]0;{arm.name}\x07") for arm in report.findings.arms]
    findings = replace(report.findings, arms=arms)
    renamed = replace(report, title="\x1b[2Jx\r", findings=findings, notes=["a\x1b[1mnote"])
    text = printed(renamed)
    assert r"\x1b[2Jx\r: 80 participants" in text and r"\x1b]0;random\x07: 40" in text
    assert r"a\x1b[1mnote" in text
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("simulated", [True, False])
def test_bots_are_called_bots(report: StudyReport, simulated: bool) -> None:
    text = printed(replace(report, simulated=simulated))
    assert ("SIMULATED" in text) == simulated
    assert ("Bots were right" in text) == simulated


def test_few_participants_are_warned_of(few_participants: StudyReport) -> None:
    assert "Fewer than 10 participants in “random” (3)" in printed(few_participants)


def test_a_timed_study_is_about_exposures(timed: StudyReport) -> None:
    text = printed(timed)
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    for arm in timed.findings.arms:
        assert arm.threshold and arm.threshold.exposure_ms.participants
        low, high = arm.threshold.exposure_ms.participants
        assert f"{arm.threshold.exposure_ms.value:.0f} ms  {low:.0f} to {high:.0f} ms" in text
    assert text.count("accuracy (staircase)") == 2 and "not applicable" in text
    assert "Comparisons of exposures" in text and "Comparisons of arms" not in text
    assert "learning curve" in text.partition("Not available from these data")[2]
    assert "to be right 75 % of the time: the arms differ (p below 0.001)." in " ".join(
        text.split()
    )


def test_a_timed_arm_without_a_threshold_is_in_the_table(timed: StudyReport) -> None:
    first, second = timed.findings.arms
    arms = [replace(first, name="with"), replace(second, name="without", threshold=None)]
    text = printed(replace(timed, findings=replace(timed.findings, arms=arms)))
    table = text.partition("Exposure needed")[2].partition("Comparisons")[0]
    assert table.index("with ") < table.index("without") and "40 of 40" in table
    none = [replace(arm, threshold=None) for arm in arms]
    text = printed(replace(timed, findings=replace(timed.findings, arms=none)))
    assert "Exposure needed" not in text


def test_nothing_about_exposures_in_an_untimed_report(
    report: StudyReport, many_arms: StudyReport
) -> None:
    for untimed in (report, many_arms):
        text = printed(untimed).lower()
        assert not [word for word in ("exposure", "staircase", "threshold", " ms") if word in text]


def test_columns_that_stay_are_whole_where_others_are_left_out(report: StudyReport) -> None:
    arms = [replace(arm, agreement=None) for arm in report.findings.arms]
    text = printed(replace(report, findings=replace(report.findings, arms=arms)))
    assert "half − 1st  conclusion" in text and "…" not in text


def test_numbers_of_the_conclusion_say_what_they_are(report: StudyReport) -> None:
    text = printed(report)
    for arm in report.findings.arms:
        assert arm.equivalence and arm.learning and arm.learning.gain
        gain = f"{100 * arm.learning.gain.value:+.1f} points".replace("-", "−")
        [line] = [line for line in text.splitlines() if gain in line]
        assert line.startswith(arm.name) and re.search(r"\bp\s(=|below)\s", line)
