"""The tables of few labels in docs/results.md, and README's, say what the committed JSON says."""

from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from documented import results, table

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def spread(values: Iterable[float], digits: int = 1) -> str:
    """Mean and standard deviation in percent."""
    values = list(values)
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f} %"


def by_setting(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Errors by setting and method, in the order of the JSON."""
    errors: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        methods = errors.setdefault(row["setting"], {"convergan": row["ours_by_draw"]})
        methods[row["peer_name"]] = row["peer_by_draw"]
    return errors


def test_five_minutes_of_a_folder() -> None:
    settings = by_setting(results("few-labels-5-minutes"))
    rows = table("results.md", "Your own images and a few labels")
    assert len(rows) == len(settings)
    for (classes, convergan, short_cnn), (setting, methods) in zip(
        rows, settings.items(), strict=True
    ):
        assert classes in setting
        assert convergan == spread(methods["convergan"])
        assert short_cnn == spread(methods["CNN-35s"])


def test_two_minutes_of_each_method() -> None:
    settings = by_setting(results("few-labels-2-minutes"))
    names = {
        "`LabelSpreading`": "LabelSpreading", "`SelfTrainingClassifier`, on HOG": "SelfTraining",
        "HOG and colour, SVM": "HOG-SVM", "small CNN with augmentation, 35 s": "CNN-35s",
        "the same, 2 minutes": "CNN", "the same with consistency (FixMatch)": "FixMatch",
        "a frozen ImageNet network, linear": "frozen", "convergan": "convergan",
        "convergan without a baseline (`--no-baseline`)": "convergan-alone",
    }  # fmt: skip
    rows = {
        method: cells for method, *cells in table("results.md", "Two minutes of each method", 0)
    }
    assert rows.keys() == names.keys()
    for method, cells in rows.items():
        for cell, methods in zip(cells, settings.values(), strict=True):
            expected = methods.get(names[method])
            assert cell.replace("**", "") == ("" if expected is None else spread(expected)), method
    # The best of those that have not seen ImageNet is in bold; ours without a baseline is no rival.
    for column, methods in enumerate(settings.values()):
        rivals = {
            name: mean(rates)
            for name, rates in methods.items()
            if name not in ("frozen", "convergan-alone")
        }
        best = min(rivals.values())
        bold = {names[method] for method, cells in rows.items() if cells[column].startswith("**")}
        assert bold == {name for name, rate in rivals.items() if rate == best}


def test_draws_that_chose_nothing() -> None:
    settings = by_setting(results("few-labels-2-minutes-six-draws"))
    rows = {
        method: cells for method, *cells in table("results.md", "Two minutes of each method", 1)
    }
    assert rows.keys() == {"FixMatch", "convergan"}
    for method, cells in rows.items():
        assert cells == [spread(methods[method][3:]) for methods in settings.values()]


def test_parts_of_a_recipe() -> None:
    variants = {
        "as it is": "convergan", "without cutout": "no cutout", "with the terms of the GAN too": "with a GAN",
        "the GAN instead of consistency": "GAN in place of consistency", "labels alone": "labels alone",
        "labels alone, without augmentation": "labels alone, no augmentation",
    }  # fmt: skip
    settings = by_setting(results("ablation"))
    rows = {
        variant: cells
        for variant, *cells in table("results.md", "What each part of a recipe brings")
    }
    assert rows.keys() == variants.keys() and len(settings) == 2
    for name, cells in rows.items():
        for cell, rates in zip(
            cells, (settings[key][variants[name]] for key in sorted(settings)), strict=True
        ):
            draws = ", ".join(f"{rate:g}" for rate in rates)
            assert cell == f"{mean(rates):.2f} % ({draws})"


def test_seconds_to_an_accuracy() -> None:
    records = [
        record
        for record in results("time-to-accuracy")
        if (record["what"], record["labels"]) == ("mnist-fast", 100)
    ]
    (line,) = [
        cells
        for cells in table("results.md", "Minutes to an accuracy")
        if cells[0].startswith("`mnist-fast`")
    ]
    errors = [str(record["last_errors"]) for record in records]
    assert line[-1].split(", ") == errors
    for column, target in ((3, "1.2%"), (4, "1.0%")):
        seconds = [record["seconds_to"][target] for record in records]
        expected = [
            f"{second:.0f}" if second is not None else f"not in {record['seconds_in_all']:.0f}"
            for second, record in zip(seconds, records, strict=True)
        ]
        assert line[column].removesuffix(" s").split(", ") == expected


def test_twenty_labels() -> None:
    records = [
        record
        for record in results("time-to-accuracy")
        if (record["what"], record["labels"]) == ("mnist-fast", 20)
    ]
    rates = [100 * record["last_errors"] / record["test_size"] for record in records]
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    page = " ".join(text.split())
    figures = ", ".join(f"{rate:.2f}" for rate in rates)
    assert len(rates) == 10
    assert f"{figures} %: mean {mean(rates):.2f}, median {median(rates):.2f} %" in page
