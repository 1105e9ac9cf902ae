"""The tables of docs/results.md and of the notes say what the committed JSON says."""

import json
import re
from math import sqrt
from statistics import mean, stdev

from scipy import stats

from documented import RESULTS, ROOT, Row, results, table


def figures(text: str) -> list[str]:
    return re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)


def shows(text: str, *values: float | None) -> bool:
    """Return whether the figures of a text are the first of these values, rounded to the digits shown; the
    first value must be there unless it is None."""
    numbers = figures(text)
    return len(numbers) in range(1 if values[0] is not None else 0, len(values) + 1) and all(
        value is not None and is_rounded(figure, value)
        for figure, value in zip(numbers, values, strict=False)
    )


def is_rounded(figure: str, value: float) -> bool:
    # A value halfway between two roundings may be rounded either way.
    last_digit = 0.1 ** len(figure.partition(".")[2])
    return abs(float(figure.replace(",", "")) - value) < 0.500001 * last_digit


def test_errors_with_few_labels() -> None:
    def errors(row: Row, side: str = "ours") -> str:
        return f"{row[side]:.1f} ± {row[f'{side}_stdev']:.1f}"

    def by_seed(row: Row, side: str) -> str:
        return ", ".join(f"{count:,}" for count in row[f"{side}_by_seed"])

    recipes_noise, papers_noise = results("digits-100")
    (mnist,), (junk,) = map(results, ("mnist-100", "junk"))
    rows = table("results.md", "Errors with few labels")
    expected = [
        (errors(recipes_noise), errors(recipes_noise, "peer")),
        (errors(papers_noise), errors(papers_noise, "peer")),
        (f"{by_seed(mnist, 'ours')}: {errors(mnist)}", by_seed(mnist, "peer")),
        (
            f"{junk['ours']:.1f}; without junk {junk['peer']:.1f}",
            f"{mean(junk['baseline_by_seed']):.1f}",
        ),
    ]
    for (setting, gan, baseline, _), (expected_gan, expected_baseline) in zip(
        rows, expected, strict=True
    ):
        # The figures in brackets are the paper's.
        assert gan.partition(" (")[0].replace(" %", "%") == expected_gan, setting
        assert baseline.replace(" %", "%") == expected_baseline, setting


def test_fast_and_reference_path() -> None:
    (row,) = results("mnist-paths")
    assert row["seeds"] == list(range(7))
    rows = table("notes/mnist.md", "The fast path and the reference path")
    for (_, *cells), side in zip(rows, ("ours", "peer"), strict=True):
        by_seed, (first_three, all_seeds) = row[f"{side}_by_seed"], cells[-2:]
        assert [int(cell) for cell in cells[:-2]] == by_seed
        assert shows(first_three, mean(by_seed[:3]), stdev(by_seed[:3]))
        assert shows(all_seeds, mean(by_seed), stdev(by_seed)) and len(figures(all_seeds)) == 2
    differences = [
        fast - reference
        for fast, reference in zip(row["ours_by_seed"], row["peer_by_seed"], strict=True)
    ]
    t_test = stats.ttest_1samp(differences, 0)
    sentence = (
        f"the difference is {mean(differences):.1f} with a standard error of"
        f" {stats.sem(differences):.1f} (t = {t_test.statistic:.1f}, p = {t_test.pvalue:.2f})"
    )
    assert sentence.replace("p = 0.", "p = .") in text_of("notes/mnist.md")


def test_errors_of_the_peer() -> None:
    (row,) = results("mnist-peer-accuracy-seed2")
    page = text_of("notes/mnist.md")
    by_seed, by_epoch = row["ours_by_seed"], row["peer_by_epoch"]
    assert row["seeds"] == list(range(5)) and row["peer"] == min(by_epoch)
    assert f"{row['peer']} errors of 10,000 after {len(by_epoch)} epochs" in page
    assert f"ours makes {', '.join(map(str, by_seed))} on seeds 0 to 4" in page
    epochs_behind = sum(
        error < peer_error for error, peer_error in zip(row["ours_by_epoch"], by_epoch, strict=True)
    )
    assert f"was behind ours of the same seed in {epochs_behind} of {len(by_epoch)} epochs" in page
    t = (row["peer"] - mean(by_seed)) / (stdev(by_seed) * sqrt(1 + 1 / len(by_seed)))
    p = 2 * stats.t.sf(t, len(by_seed) - 1)
    assert f"(t = {t:.1f}, p = {p:.2f})".replace("0.", ".") in page


def text_of(page: str) -> str:
    """A page on one line."""
    return " ".join((ROOT / "docs" / page).read_text().split())


def test_samples_of_mnist() -> None:
    rows = {(row["setting"].split(":")[0], row["unit"]): row for row in results("mnist-samples")}
    for generator, *cells in table("results.md", "Samples of MNIST"):
        for score, cell in zip(("Inception score", "precision", "recall"), cells, strict=True):
            row = rows[generator, score]
            with_zero = re.sub(r"(?<!\d)\.", "0.", cell)
            assert len(figures(cell)) == 3 and shows(with_zero, row["ours"], *row["interval"]), cell


def test_mnist_paper() -> None:
    rows = results("mnist-paper")
    lines = table("results.md", "The authors' script and `mnist-paper`")
    assert len(lines) == len(rows) >= 7
    differences = []
    for (seed, *cells), row in zip(lines, rows, strict=True):
        assert f"seed {seed}," in row["setting"]
        curves = [row["ours_by_epoch"], row["peer_by_epoch"]]
        expected = [
            f"{curve[epoch]:,}" if epoch < len(curve) else ""
            for curve in curves
            for epoch in (0, 3, 19)
        ]
        assert cells == expected, seed
        differences.append(curves[0][3] - curves[1][3])
    difference, error = mean(differences), stdev(differences) / sqrt(len(differences))
    sentence = f"after epoch 4 is {difference:.0f} errors, with a standard error of {error:.0f}"
    assert sentence.replace("-", "−") in text_of("results.md")
    assert abs(difference) < 2 * error


def test_the_ensemble_of_mnist_fast() -> None:
    cells = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (RESULTS / "table1").glob("mnist-fast-20-*/results.json")
    ]
    (ensemble,) = [cell for cell in cells if "members" in cell]
    members = sorted(
        cell["test_errors"]
        for cell in cells
        if "members" not in cell
        and cell["settings"]["data"]["split_seed"] in (0, None)
        and cell["seed"] in (range(10) if cell["settings"]["data"]["split_seed"] == 0 else (0,))
    )
    assert len(members) == 10
    sentence = (
        f"made {ensemble['test_errors']} errors of 10,000, its members {members[0]} to {members[-1]},"
        f" {mean(members):.0f} on average"
    )
    assert sentence in text_of("results.md")


def test_cifar10_reduced() -> None:
    errors, scores = (
        {row["setting"]: row for row in results("cifar10-reduced") if row["unit"].startswith(unit)}
        for unit in ("%", "Inception")
    )
    rows = table("results.md", "CIFAR-10, reduced")
    assert len(rows) == len(errors) == len(scores) == 4
    for (name, *cells), (setting, row) in zip(rows, errors.items(), strict=True):
        assert setting.split(",")[0] == name.strip("`") and f" {cells[0]} steps" in setting
        values = [row["ours"], row["peer"], scores[setting]["ours"]]
        for cell, value in zip(cells[1:], values, strict=True):
            assert shows(cell, value), (name, cell, value)
        assert round(scores[setting]["peer"], 2) == 1.02
