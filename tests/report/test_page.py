import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convergan.report.inputs import Prediction, ReportInputs
from convergan.report.page import write_report
from convergan.runs.epochs import TEST_COUNTS, EpochLine, HealthWarning
from outline import Outline, words
from support import manifest_of

EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


def page_html(path: Path, inputs: ReportInputs) -> str:
    write_report(path / "report.html", inputs)
    return (path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def finished(inputs: ReportInputs) -> ReportInputs:
    """A run of which only the results matter: quick to write."""
    last = EpochLine(epoch=150, train_seconds=204.7)
    return replace(inputs, epochs=[last], warnings=[], most_certain=[], least_certain=[])


@pytest.fixture(scope="session")
def html(report: Path) -> str:
    return report.read_text(encoding="utf-8")


def test_the_verdict_and_its_numbers(html: str) -> None:
    text = words(html)
    assert "The GAN helped: 14 of 500 test images wrong" in text
    assert "14 of 500 misclassified; 95 % interval 1.7 % to 4.6 %" in text
    assert "33 of 500 misclassified; 95 % interval 4.7 % to 9.1 %" in text
    assert "19 fewer mistakes with the GAN than without it" in text
    assert "a difference this large would arise by chance with probability below 0.001" in text
    assert (
        "The test labels were used only to count errors, never to train or to choose a model."
        in text
    )
    assert "precision fp32" in text
    assert re.search(r'class="decision helped">helped<', html)


def test_bars_share_one_scale(html: str) -> None:
    fills = [float(width) for width in re.findall(r'class="fill" style="width: ([\d.]+)%', html)]
    whiskers = re.findall(r'class="whisker" style="left: ([\d.]+)%; width: ([\d.]+)%', html)
    assert fills == pytest.approx([100 * 0.028 / 0.0912, 100 * 0.066 / 0.0912], abs=0.01)
    assert sum(map(float, whiskers[1])) == pytest.approx(100, abs=0.02)


def test_the_html_is_sound_and_accessible(html: str) -> None:
    outline = Outline(html)
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.images_without_words == 0
    assert html.count('role="img" aria-label="Line chart') == 4
    assert html.startswith("<!doctype html>")
    assert html.count("<h1") == 1
    assert all(
        re.search(r"<caption>.*?<th scope=", table, re.S) for table in html.split("<table")[1:]
    )


def test_the_page_is_self_contained_and_modest(html: str) -> None:
    assert "http:" not in html and "https:" not in html
    assert set(re.findall(r'(?:src|href)="([^"#:]*):?', html)) == {"data", ""}
    assert not {"script", "iframe", "object", "audio", "video"} & Outline(html).tags
    assert "default-src 'none'" in html, "nor would a browser load anything"
    assert len(html) < 300_000


def test_the_same_inputs_give_the_same_bytes(
    tmp_path: Path, html: str, inputs: ReportInputs
) -> None:
    (tmp_path / "report.html").write_text("an older report")
    assert page_html(tmp_path, inputs) == html
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_an_epoch_is_explained(html: str) -> None:
    assert "one of the equal parts into which the training is divided" in words(html)


def test_warnings_of_a_kind_stand_together_with_advice(html: str) -> None:
    text = words(html)
    assert "collapse epochs 12 to 14, 40" in text
    assert "What to do: Add minibatch discrimination" in text
    assert "epoch with a warning" in text


def test_without_warnings(tmp_path: Path, finished: ReportInputs) -> None:
    text = words(page_html(tmp_path, replace(finished, warnings=[])))
    assert "No warnings were raised" in text
    assert "epoch with a warning" not in text


def test_mistakes_are_marked_in_words(html: str) -> None:
    text = words(html)
    assert text.count("wrong, label") == 8
    assert text.count("right, label") == 16
    assert html.count('class="card wrong"') == 8


def test_settings_and_provenance(html: str) -> None:
    text = words(html)
    assert "networks.hidden 1000, 500, 250, 250, 250" in text
    assert "versions.torch 2.13.0" in text
    assert "labelled 100 values:" in text
    assert "git_commit 0f1e2d3c" in text
    assert "convergan train digits --labels 100 --seed 0" in text


def test_a_run_without_labels_has_no_empty_sections(tmp_path: Path, inputs: ReportInputs) -> None:
    html = page_html(
        tmp_path,
        replace(
            inputs,
            verdict="The generator was trained for 150 epochs.",
            results=None,
            classes=[],
            confusion=None,
            most_certain=[],
            least_certain=[],
            epochs=[replace(epoch, **dict.fromkeys(TEST_COUNTS)) for epoch in inputs.epochs],
        ),
    )
    assert Outline(html).headings == [
        "Warnings",
        "Training curves",
        "Losses",
        "The discriminator’s belief",
        "Diversity",
        "Generated and real images",
        "Generated",
        "Real",
        "How this run was made",
    ]
    text = words(html)
    assert "error rate" not in text and "test labels" not in text and "decision" not in text
    assert "diversity (data: 1)" in text


def test_a_run_with_next_to_nothing(tmp_path: Path, inputs: ReportInputs) -> None:
    images = np.zeros((0, 8, 8, 1), np.uint8)
    html = page_html(
        tmp_path,
        replace(
            inputs,
            results=None,
            epochs=[],
            recipe={},
            manifest=None,
            warnings=[],
            classes=[],
            confusion=None,
            real_images=images,
            generated_images=images,
            most_certain=[],
            least_certain=[],
        ),
    )
    assert Outline(html).headings == ["Warnings", "How this run was made"]


def test_without_a_baseline_nothing_is_compared(tmp_path: Path, finished: ReportInputs) -> None:
    assert finished.results is not None
    alone = replace(
        finished.results,
        baseline_test_errors=None,
        baseline_test_error_rate=None,
        baseline_test_interval=None,
        decision=None,
        p_value=None,
    )
    html = page_html(tmp_path, replace(finished, results=alone))
    text = words(html)
    assert "14 of 500" in text
    assert "baseline the same network" not in text and "mistakes with the GAN" not in text
    assert 'class="bar"' not in html and 'class="decision' not in html


@pytest.mark.parametrize(
    ("errors", "baseline", "sentence"),
    [
        (
            40,
            33,
            "7 more mistakes with the GAN than without it, on the same test images (21 % more).",
        ),
        (33, 33, "As many mistakes with the GAN as without it, on the same test images."),
        (3, 0, "3 more mistakes with the GAN than without it, on the same test images."),
    ],
)
def test_a_gan_that_does_not_help(
    tmp_path: Path, finished: ReportInputs, errors: int, baseline: int, sentence: str
) -> None:
    assert finished.results is not None
    results = replace(
        finished.results,
        test_errors=errors,
        test_error_rate=errors / 500,
        baseline_test_errors=baseline,
        baseline_test_error_rate=baseline / 500,
        decision="hurt",
    )
    html = page_html(tmp_path, replace(finished, results=results))
    assert sentence in words(html)
    assert re.search(r'class="decision hurt">hurt<', html)


def test_cross_validation_is_named(tmp_path: Path, finished: ReportInputs) -> None:
    assert finished.results is not None
    html = page_html(tmp_path, replace(finished, results=replace(finished.results, folds=4)))
    text = words(html)
    assert "Measured by 4-fold cross-validation over 500 labelled images" in text
    assert "The test labels were used only" not in text
    assert "on the same labelled images" in text and "Labelled images by true class" in text
    assert "test image" not in text.lower().replace("500 test images wrong", "")


def test_the_chosen_epoch_is_named(tmp_path: Path, finished: ReportInputs) -> None:
    assert finished.results is not None
    html = page_html(
        tmp_path, replace(finished, results=replace(finished.results, epoch_chosen=87))
    )
    assert "result from epoch 87" in words(html)


def test_whatever_users_write_is_text(tmp_path: Path, inputs: ReportInputs) -> None:
    card = Prediction(
        image=inputs.real_images[0], name=EVIL, predicted=EVIL, label=EVIL, confidence=0.5
    )
    html = page_html(
        tmp_path,
        replace(
            inputs,
            title=EVIL,
            verdict=EVIL,
            classes=[EVIL] * 10,
            most_certain=[card],
            least_certain=[replace(card, label=None)],
            recipe={EVIL: EVIL},
            manifest=manifest_of(command=EVIL, versions={EVIL: EVIL}),
            warnings=[HealthWarning(1, EVIL, EVIL, EVIL)],
            epochs=[EpochLine(epoch=1, losses={EVIL: 1.0})],
        ),
    )
    assert "<script" not in html and "<img src=x" not in html
    assert "alert('x')" in Outline(html).text
    assert "label unknown" in words(html)


def test_too_few_epochs_are_not_called_healthy(tmp_path: Path, finished: ReportInputs) -> None:
    text = words(page_html(tmp_path, replace(finished, warnings=[], judged=False)))
    assert "Too few epochs to judge" in text and "No warnings were raised" not in text


def test_the_data_stand_in_a_table_of_their_own(tmp_path: Path, finished: ReportInputs) -> None:
    html = page_html(
        tmp_path, replace(finished, data=[("unlabelled images", "50"), ("note", EVIL)])
    )
    assert "Data" in Outline(html).headings
    assert "unlabelled images 50" in words(html) and "<script" not in html


def test_images_worth_a_label_are_shown_with_their_names(
    tmp_path: Path, finished: ReportInputs, inputs: ReportInputs
) -> None:
    card = replace(inputs.least_certain[0], name="unlabelled/bad\udcff.png", label=None)
    note = "Of the 50 training images without a label"
    html = page_html(tmp_path, replace(finished, worth_labelling=[card], worth_labelling_note=note))
    assert "Worth labelling next" in Outline(html).headings
    assert note in words(html) and "label unknown" in words(html)
    assert r"unlabelled/bad\udcff.png" in words(html)
    none = page_html(tmp_path, replace(finished, worth_labelling_note="There are none."))
    assert "There are none." in words(none)


def test_of_many_classes_a_mistake_made_once_is_counted_alone(
    tmp_path: Path, finished: ReportInputs
) -> None:
    counts = np.roll(np.eye(1000, dtype=int), 1, axis=1)
    classes = [f"class {number}" for number in range(1000)]
    text = words(page_html(tmp_path, replace(finished, confusion=counts, classes=classes)))
    assert "1,000 of the test images were misclassified" in text
    assert "no mistake was made twice" in text and "1 of 1" not in text


def test_a_verdict_of_two_sentences_has_its_second_one_smaller(
    tmp_path: Path, finished: ReportInputs
) -> None:
    first, second = (
        "It misclassifies 2.8 % of 500 images (p < 0.001).",
        "The baseline took 1.3 minutes.",
    )
    html = page_html(tmp_path, replace(finished, verdict=f"{first} {second}"))
    [verdict] = re.findall(r'<p class="verdict">(.*?)</p>', html)
    assert words(f"<p>{verdict}</p>") == first
    [remainder] = re.findall(r'<p class="verdict-rest">(.*?)</p>', html)
    assert remainder == second
    assert '<p class="verdict-rest"' not in page_html(tmp_path, replace(finished, verdict=first))


def test_every_option_that_is_named_is_kept_whole(tmp_path: Path, inputs: ReportInputs) -> None:
    note = "Fewer with --data.size-px 32."
    html = page_html(
        tmp_path,
        replace(
            inputs,
            epochs=[],
            verdict="Tried --batch-size 50.",
            worth_labelling_note=note,
            data=[("note", "as --data.path-of-all says")],
        ),
    )
    options = re.findall(r'<span class="option">(.*?)</span>', html)
    assert {"--networks.minibatch-kernels", "--data.size-px", "--batch-size"} < set(options)
    assert {"--data.path-of-all", "--labels", "--from"} < set(options)
    text = re.sub(r'<(?!span class="option")[^>]*>', "", html.split("</style>")[1])
    assert not re.findall(r'(?<!class="option">)--[a-z]', text)
