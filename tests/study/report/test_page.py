import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from convergan.errors import UserError
from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.rates import Rates, rates_of
from convergan.study.analysis.votes import Votes
from convergan.study.report import StudyReport, make_report
from convergan.study.report.as_json import write_json
from convergan.study.report.page import SHOWN_IMAGES, write_page
from harness.simulated_votes import timed_votes
from outline import Outline
from outline import words as words_of

EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>$a_b$"


def words(path: Path) -> str:
    return words_of(path.read_text(encoding="utf-8"))


def page_words(folder: Path, report: StudyReport) -> str:
    write_page(folder / "report.html", report)
    return words(folder / "report.html")


def test_the_numbers_of_every_arm(page: Path, report: StudyReport) -> None:
    text = words(page)
    assert "CIFAR-10, a GAN" in text and "2 participants were excluded" in text
    for arm in report.findings.arms:
        for share in (arm.accuracy, arm.error_on_generated, arm.error_on_real):
            assert share and share.participants and share.participants_and_images and share.naive
            assert f"{100 * share.value:.1f} %" in text
            for low, high in (share.participants, share.participants_and_images, share.naive):
                assert f"{100 * low:.1f} to {100 * high:.1f} %" in text
        assert arm.d_prime and f"{arm.d_prime.value:.2f}" in text
    [comparison] = report.findings.comparisons
    assert f"{100 * comparison.accuracy.value:+.1f}" in text and "differ" in text
    assert "naive one (Wilson’s)" in text


def test_it_is_sound_and_self_contained(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    parsed = Outline(html)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert "http:" not in html and "https:" not in html
    assert set(re.findall(r'(?:src|href)="([^"#:]*):?', html)) == {"data", ""}
    assert not {"script", "iframe", "object"} & parsed.tags
    assert all(
        re.search(r"<caption>.*?<th scope=", table, re.S) for table in html.split("<table")[1:]
    )
    assert len(html) < 500_000


def test_cells_have_the_names_of_their_columns(
    tmp_path: Path, page: Path, timed: StudyReport
) -> None:
    """A narrow page shows these names in place of the headings."""
    write_page(tmp_path / "timed.html", timed)
    for path in (page, tmp_path / "timed.html"):
        tables = path.read_text(encoding="utf-8").replace("&nbsp;", " ").split("<table")[1:]
        assert len(tables) >= 3
        for table in tables:
            headings = re.findall(r'<th scope="col">([^<]*)</th>', table)
            rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.S)
            assert rows
            for row in rows:
                assert re.findall(r"<td[^>]*?data-column=\"([^\"]*)\"", row) == headings[1:]


def test_figures(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    titles = re.findall(r"<h3>([^<]*)</h3>\s*<ul", html)
    assert titles == [
        "Accuracy", "The two errors", "Participants", "Learning",
        "set random", "set random: score and fooling rate",
        "set top 1 %", "set top 1 %: score and fooling rate",
    ]  # fmt: skip
    assert html.count('role="img" aria-label') == len(titles)


def test_images_that_fooled_most_and_least(page: Path, report: StudyReport) -> None:
    html = page.read_text(encoding="utf-8")
    for image_set in report.findings.image_sets:
        for image in (*image_set.images[:6], *image_set.images[-6:]):
            assert f'alt="Generated image {image.image}"' in html
            assert f"fooled {image.fooled} of {image.votes}" in html
        assert f'alt="Generated image {image_set.images[10].image}"' not in html


def test_rates_alone_leave_out_what_they_cannot_tell(
    tmp_path: Path, many_arms: StudyReport
) -> None:
    text = page_words(tmp_path, many_arms)
    assert "Not available from these data needs single votes" in text
    assert "learning curve, Krippendorff's alpha, fooling rate by image" in text
    assert 'id="images"' not in (tmp_path / "report.html").read_text()
    assert "The sets in the order of their scores" in text
    assert "all 21 comparisons (Holm)" in text


def test_bots_are_called_bots_everywhere(tmp_path: Path, report: StudyReport) -> None:
    text = page_words(tmp_path, replace(report, simulated=True))
    assert text.count("SIMULATED") == 2 and "Bots were right" in text
    assert "<title>SIMULATED:" in (tmp_path / "report.html").read_text()
    write_json(tmp_path / "report.json", replace(report, simulated=True))
    assert json.loads((tmp_path / "report.json").read_text())["simulated"] is True


def test_a_timed_study_is_about_exposures(tmp_path: Path, timed: StudyReport) -> None:
    text = page_words(tmp_path, timed)
    for arm in timed.findings.arms:
        assert arm.threshold and arm.threshold.exposure_ms.participants
        low, high = arm.threshold.exposure_ms.participants
        assert f"{arm.threshold.exposure_ms.value:.0f} ms {low:.0f} to {high:.0f} ms" in text
        assert f"{100 * arm.accuracy.value:.1f} %" in text, "with a word of warning"
    assert "driven by the staircase" in text and "not applicable" in text
    assert "Exposure that people needed" in text and "Comparisons of arms First arm" not in text
    html = (tmp_path / "report.html").read_text()
    titles = re.findall(r"<h3>([^<]*)</h3>\s*<ul", html)
    assert titles[:3] == ["Exposure thresholds", "The two errors", "Participants"]
    assert "Learning" not in titles and 'class="chance"' not in html
    parsed = Outline(html)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_timed_arms_without_a_threshold_and_of_few_people_are_in_the_page(
    tmp_path: Path, timed: StudyReport
) -> None:
    rng = np.random.default_rng(30)
    votes = timed_votes(rng, {"all": 320, "few": 320, "none": 320}, participants=12)
    share = np.select([votes.arm == "none", votes.arm == "few"], [1, 0.6])
    wrong = rng.random(len(votes)) < share
    findings = analyse(replace(votes, shown_ms=np.where(wrong, 5000.0, votes.shown_ms)))
    _, few_people, _ = findings.arms
    assert few_people.threshold and few_people.threshold.participants < 12
    text = page_words(tmp_path, replace(timed, findings=findings, rates=rates_of(votes)))
    part = f"{few_people.threshold.participants} of 12 participants"
    assert f"of the time; {part}" in text and f" few {part} " in text
    assert "driven by the staircase; no exposure threshold" in text
    assert "none – – – – 1,200" in text
    assert few_people.timed_answers and 0 < few_people.timed_answers.counted < 400
    assert f"0 {1200 - few_people.timed_answers.counted:,} none" in text
    assert "“none”: all 1,200 answers are left out" in text


def test_nothing_about_exposures_in_an_untimed_page(page: Path) -> None:
    text = words(page).lower()
    assert not [word for word in ("exposure", "staircase", "threshold", " ms") if word in text]


def test_few_participants_are_warned_of(
    tmp_path: Path, page: Path, report: StudyReport, few_participants: StudyReport
) -> None:
    assert "Fewer than" not in words(page)
    text = page_words(tmp_path, few_participants)
    assert text.index("Notes and cautions") < text.index(
        "Fewer than 10 participants in “random” (3)"
    )
    write_json(tmp_path / "report.json", few_participants)
    notes = json.loads((tmp_path / "report.json").read_text())["notes"]
    assert notes[0] == report.notes[0] and notes[2].startswith("Fewer than 10 participants")


def test_names_are_written_as_they_are(tmp_path: Path, votes: Votes) -> None:
    hostile = replace(
        votes,
        arm=np.where(votes.arm == "random", EVIL, votes.arm),
        images=np.where(votes.arm == "random", EVIL, votes.images),
        image=np.char.add(votes.image, EVIL),
    )
    result = make_report(
        hostile, title=EVIL, source=EVIL, notes=(EVIL,), page=tmp_path / "report.html",
        console=Console(quiet=True),
    )  # fmt: skip
    html = (tmp_path / "report.html").read_text()
    assert result.title == EVIL
    assert "<script" not in html and "<img src=x" not in html
    assert html.count("&lt;script&gt;") > 20
    assert "$a_b$" in words(tmp_path / "report.html")


def test_a_report_twice_gives_the_same_bytes(
    tmp_path: Path, page: Path, report: StudyReport
) -> None:
    write_page(tmp_path / "again.html", report)
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_small_studies_have_a_page(tmp_path: Path, votes: Votes) -> None:
    rates: Rates = rates_of(votes.chosen(votes.participant == votes.participant[0]))
    for data in (
        votes.chosen(np.array([0])), votes.chosen(~votes.generated & (votes.arm == "random")), rates,
    ):  # fmt: skip
        make_report(
            data, title="x", source="x", page=tmp_path / "report.html", json=tmp_path / "report.json",
            overwrite=True, console=Console(quiet=True),
        )  # fmt: skip
        assert "Means are over participants" in words(tmp_path / "report.html")
        json.loads((tmp_path / "report.json").read_text())


def test_only_pictures_that_are_shown_are_read(tmp_path: Path, report: StudyReport) -> None:
    requested = []
    write_page(tmp_path / "report.html", replace(report, picture_of=requested.append))
    assert (
        len(requested) == len(set(requested)) == 2 * SHOWN_IMAGES * len(report.findings.image_sets)
    )


def test_a_picture_that_cannot_be_read(tmp_path: Path, report: StudyReport) -> None:
    broken = replace(report, picture_of=lambda _: b"no image")
    with pytest.raises(UserError, match=r"^\S.*: expected an image, got 8 bytes of"):
        write_page(tmp_path / "report.html", broken)
    assert not (tmp_path / "report.html").exists()
