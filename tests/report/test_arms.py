"""The sections of a run that compares arms."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convergan.page.figures import Line
from convergan.page.images import strip_picture
from convergan.recipes.arm_words import arm_title
from convergan.report.arms import choice
from convergan.report.inputs import ArmSummary, Disagreements, ReportInputs
from convergan.report.learning_curves import learning_curves
from convergan.report.page import write_report
from convergan.runs.epochs import EpochLine
from convergan.runs.results import ErrorRate, RateInterval
from outline import Outline, words
from support import results_of

S = "\N{NO-BREAK SPACE}"
Render = Callable[[ReportInputs], str]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    def write(inputs: ReportInputs) -> str:
        write_report(tmp_path / "report.html", inputs)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


@pytest.fixture(scope="session")
def html(compared: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("arms") / "report.html"
    write_report(path, compared)
    return path.read_text(encoding="utf-8")


def table_of_arms(html: str) -> list[list[str]]:
    """The words of each cell of the table of arms, below its head."""
    [table] = re.findall(r'<table class="arms"[^>]*>(.*?)</table>', html, re.S)
    body = table.split("<tbody")[1]
    return [
        [words(f"<p>{cell}</p>") for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.S)
    ]


def test_the_table_has_the_best_arm_first_and_names_the_saved_one(html: str) -> None:
    rows = table_of_arms(html)
    names = (
        "GAN composed with consistency saved",
        "Consistency",
        "Frozen features",
        "Supervised baseline",
    )
    assert len(rows) == 4
    assert all(row[0].startswith(f"{name} ") for row, name in zip(rows, names, strict=True))
    assert [" saved " in row[0] for row in rows] == [True, False, False, False]
    saved, consistency, frozen, _ = rows
    assert saved[1] == "2.8 %, 14 of 500 misclassified 95 % interval 1.7 % to 4.6 %"
    assert saved[2] == "–" and consistency[2] == "p = 0.031"
    assert saved[3] == "4 min 54 s 780 steps" and frozen[3] == "36 s"
    assert saved[4] == "3 of 25" and frozen[4] == "–"


def test_the_page_is_sound_and_its_parts_stand_in_order(html: str) -> None:
    outline = Outline(html)
    assert len(outline.ids) == len(set(outline.ids)) and outline.images_without_words == 0
    headings = [
        heading for heading in outline.headings if heading in NEW or heading in ("Warnings", "Data")
    ]
    assert headings == [
        "Arms", "Learning curves", "Warnings",
        "Augmented views", "Images that the arms disagree on",
    ]  # fmt: skip
    assert "http:" not in html and "https:" not in html


NEW = (
    "Arms",
    "Learning curves",
    "Augmented views",
    "Images that the arms disagree on",
)


def test_a_run_without_arms_has_none_of_their_sections(
    render: Render, inputs: ReportInputs
) -> None:
    assert not set(NEW) & set(Outline(render(inputs)).headings)


def test_the_key_numbers_are_those_of_the_saved_arm_and_the_baseline(html: str) -> None:
    [panel] = re.findall(r'aria-label="Key numbers">(.*?)</section>', html, re.S)
    text = words(panel)
    assert Outline(panel).headings == ["GAN composed with consistency", "Supervised baseline"]
    assert (
        "19 fewer mistakes with the GAN composed with consistency than with the supervised baseline"
        in text
    )
    assert "with probability below 0.001" in text
    assert "training time, all arms" in text


def test_why_an_arm_is_saved() -> None:
    composed = ArmSummary(
        name="composed", minutes=1, held_out_errors=3, held_out_size=25, saved=True
    )
    baseline = replace(composed, name="baseline", held_out_errors=4, saved=False)
    images = "on the 25 labelled images held out for this choice."
    assert choice([composed, baseline]) == (
        f"GAN composed with consistency is saved: it made the fewest mistakes {images}"
    )
    tie = replace(baseline, held_out_errors=3)
    assert choice([composed, tie]).endswith(f"it made as few mistakes as any other {images}")
    better = replace(baseline, held_out_errors=2)
    assert choice([composed, better]).endswith("but not clearly fewer.")
    untold = replace(composed, held_out_errors=None)
    assert choice([untold, baseline]) == "GAN composed with consistency is saved."
    assert choice([baseline]) == ""


def test_images_that_chose_among_the_arms_are_not_called_test_images(
    render: Render, compared: ReportInputs
) -> None:
    arms = [
        replace(arm, held_out_errors=arm.test.errors, held_out_size=arm.test.size)
        for arm in compared.arms
        if arm.test is not None
    ]
    assert compared.results is not None
    results = replace(compared.results, tested_on_held_out=True)
    html = render(replace(compared, arms=arms, results=results, recipe={}, manifest=None))
    text = words(html)
    assert "error rate on held-out images" in text and "test image" not in text.lower()
    assert "was chosen by them: the intervals are wide enough to hold for all arms" in text
    assert "only to count errors" not in text and "nothing was chosen" not in text
    assert len(table_of_arms(html)[0]) == 4, "the same numbers do not stand there twice"


def test_equal_counts_by_chance_do_not_make_test_images_those_that_chose(
    render: Render, compared: ReportInputs
) -> None:
    arms = [
        replace(arm, held_out_errors=arm.test.errors, held_out_size=arm.test.size)
        for arm in compared.arms
        if arm.test is not None
    ]
    text = words(render(replace(compared, arms=arms, recipe={}, manifest=None)))
    assert "error rate on test images" in text and "saved arm was chosen by them" not in text


def test_names_of_ones_own_stand_as_they_are() -> None:
    assert (arm_title("gan"), arm_title("mine")) == ("GAN", "mine")


def test_arms_are_compared_at_equal_time_and_at_equal_steps(compared: ReportInputs) -> None:
    time, steps = learning_curves(compared)
    lines = {line.name: line for line, _ in time.legend if isinstance(line, Line)}
    assert list(lines) == [arm_title(arm.name) for arm in compared.arms]
    assert lines["Consistency"].x[-1] == pytest.approx(4.8)
    assert lines["Consistency"].values[-1] == pytest.approx(18 / 500)
    assert lines["Frozen features"].x == [0.6], "of an arm without epochs, its end"
    assert f"Consistency: 3.6{S}% after 4.8{S}min" in time.description
    assert "minutes of training" in time.svg
    assert [line.name for line, _ in steps.legend] == [
        "GAN composed with consistency", "Supervised baseline", "Consistency",
    ]  # fmt: skip
    assert dict((line.name, end) for line, end in steps.legend)["Consistency"] == (
        f"3.6{S}% after 1,900{S}steps"
    )


@pytest.mark.parametrize(("minutes", "unit"), [(0.5, "seconds"), (3, "minutes"), (200, "hours")])
def test_time_is_read_in_a_unit_that_fits(
    compared: ReportInputs, minutes: float, unit: str
) -> None:
    epoch = EpochLine(epoch=1, step=5, train_seconds=60 * minutes, test_errors=1, test_size=5)
    arm = ArmSummary(name="gan", minutes=minutes, epochs=[epoch])
    time, _ = learning_curves(replace(compared, arms=[arm]))
    assert f"{unit} of training" in time.svg


def test_lines_of_arms_differ_in_colour_and_in_dashes(compared: ReportInputs) -> None:
    time, _ = learning_curves(compared)
    icons = [str(line.icon) for line, _ in time.legend]
    for pattern in (r"stroke: (var\(--line-\d\))", r"stroke-dasharray: ([^\"]*)"):
        assert len({re.findall(pattern, icon)[0] for icon in icons}) == len(icons)


def test_without_a_generator_nothing_is_said_of_one(render: Render, compared: ReportInputs) -> None:
    arms = [replace(arm, saved=arm.name == "consistency") for arm in compared.arms[1:]]
    nan = float("nan")
    epochs = [
        replace(
            epoch,
            losses={"discriminator/supervised": 0.5, "discriminator/consistency": 0.2},
            real_score=nan,
            generated_score=nan,
            diversity=nan,
        )
        for epoch in arms[1].epochs
    ]
    html = render(replace(compared, arms=arms, epochs=epochs, generated_images=None))
    headings = Outline(html).headings
    assert "Losses" in headings
    assert not {"Generated and real images", "Diversity", "The discriminator’s belief"} & {
        *headings
    }
    body = words(html).replace("GAN composed with consistency", "").replace(compared.verdict, "")
    assert "GAN" not in body and "generator" not in body and "game" not in body


def test_a_run_without_arms_and_generator_calls_its_classifier_a_classifier(
    render: Render, inputs: ReportInputs
) -> None:
    quick = replace(inputs, epochs=inputs.epochs[-1:], warnings=[], verdict="Done.")
    html = render(replace(quick, generated_images=None))
    assert "19 fewer mistakes with the classifier than with the supervised baseline" in words(html)
    assert "semi-supervised GAN" not in html and "Semi-supervised GAN" not in html


def test_views_stand_below_the_images_that_they_are_of(html: str) -> None:
    [section] = re.findall(r'<section aria-labelledby="views">(.*?)</section>', html, re.S)
    alts = re.findall(r'alt="([^"]*)"', section)
    assert alts == [
        "Original training images",
        "The same training images, each in another weak view",
        "The same training images, each in another strong view",
    ]
    sizes = re.findall(r'width="(\d+)" height="(\d+)"', section)
    assert len(set(sizes)) == 1, "so that each view stands below its image"


def test_each_answer_says_in_words_whether_it_is_right(html: str, compared: ReportInputs) -> None:
    [section] = re.findall(r'<section aria-labelledby="disagreements">(.*?)</section>', html, re.S)
    assert compared.disagreements is not None
    examples = compared.disagreements.examples
    right = sum(
        answer == example.label for example in examples for answer in example.answers.values()
    )
    answers = sum(len(example.answers) for example in examples)
    text = words(section)
    assert section.count('<span class="mark">right</span>') == right > 0
    assert section.count('<span class="mark">wrong</span>') == answers - right > 0
    first = examples[0]
    assert f"label {first.label}" in text and first.name in text
    assert f"different answers to {compared.disagreements.count} of 500 test images" in text


def test_arms_that_agree_are_said_to(render: Render, compared: ReportInputs) -> None:
    agreed = Disagreements(examples=[], count=0, size=500)
    quick = replace(compared, arms=[], epochs=[], views=None, disagreements=agreed)
    assert "All arms give the same answer to each of the 500 test images." in words(render(quick))


def test_whatever_arms_and_images_are_called_is_text(
    render: Render, compared: ReportInputs
) -> None:
    evil = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
    assert compared.disagreements is not None and compared.views is not None
    card = replace(
        compared.disagreements.examples[0],
        name=evil, label=evil, answers={evil: evil}, confidences={evil: 0.5},
    )  # fmt: skip
    html = render(
        replace(
            compared,
            arms=[replace(compared.arms[0], name=evil)],
            disagreements=replace(compared.disagreements, examples=[card]),
            views=replace(compared.views, views={evil: compared.views.images}),
        )
    )
    assert "<script" not in html and "<img src=x" not in html


def test_arms_without_tests_have_a_table_and_no_curves(
    render: Render, compared: ReportInputs
) -> None:
    bare = [ArmSummary(name="gan", minutes=1, saved=True), ArmSummary(name="baseline", minutes=1)]
    html = render(replace(compared, arms=bare, disagreements=None, results=None))
    assert [row[1] for row in table_of_arms(html)] == ["not tested", "not tested"]
    assert "Learning curves" not in Outline(html).headings


def test_pictures_of_a_strip_are_in_one_row() -> None:
    picture = strip_picture(np.zeros((5, 32, 48, 3), np.uint8))
    assert (picture.width, picture.height) == (5 * 48 + 4 * 2, 32)


def on_few_labels(compared: ReportInputs) -> ReportInputs:
    """A run of two arms whose errors on 8 of 40 labels are 3 and 2: no evidence of a difference."""
    arms = [
        replace(
            arm,
            test=ErrorRate(errors=errors, size=8, rate=errors / 8, interval=RateInterval(0.1, 0.8)),
            held_out_errors=errors,
            held_out_size=8,
            p_value=p_value,
            saved=p_value is None,
        )
        for arm, errors, p_value in zip(compared.arms[1::-1], (2, 3), (1.0, None), strict=True)
    ]
    results = replace(results_of(3, 2, size=8), labels=40, tested_on_held_out=True, p_value=1.0)
    return replace(
        compared, arms=arms, results=results, recipe={}, manifest=None, disagreements=None
    )


def test_a_report_on_few_labels_draws_no_conclusions(
    render: Render, compared: ReportInputs
) -> None:
    text = words(render(on_few_labels(compared)))
    assert "1 more mistake with the GAN composed with consistency than with the supervised" in text
    assert "This is no evidence of a difference." in text
    assert "probability 1" not in text and "p = 1" not in text.replace(S, " ")
    assert "trained with 32 of the 40 labels, the saved one with all of them." in text, (
        "errors are of models with fewer labels than the saved one"
    )
    assert "few test images 8 held-out labels measure an error rate only to about ±" in text
    assert "--data.folds 4 tests each label once" in text.replace("\u2011", "-")
    assert "No warnings were raised" not in text


def test_enough_tests_and_all_labels_are_not_remarked_on(html: str) -> None:
    text = words(html)
    assert "few test images" not in text and "the saved one with all of them" not in text
