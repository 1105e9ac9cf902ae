"""The tables of docs/results.md and of the notes say what the committed JSON says."""

import re
from math import sqrt
from statistics import mean, stdev

from scipy import stats

from documented import ROOT, Row, results, table


def figures(text: str) -> list[str]:
    return re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)


def shows(text: str, *values: float | None) -> bool:
    """Whether all figures of a text are these values, in this order, rounded to the digits shown; the first
    is shown if there is one."""
    shown = figures(text)
    return len(shown) in range(1 if values[0] is not None else 0, len(values) + 1) and all(
        value is not None and is_rounded(figure, value)
        for figure, value in zip(shown, values, strict=False)
    )


def is_rounded(figure: str, value: float) -> bool:
    # Of two that are as near, either.
    last_digit = 0.1 ** len(figure.partition(".")[2])
    return abs(float(figure.replace(",", "")) - value) < 0.500001 * last_digit


def test_errors_with_few_labels() -> None:
    def errors(row: Row, side: str = "ours") -> str:
        return f"{row[side]:.1f} ± {row[f'{side}_stdev']:.1f}"

    def by_seed(row: Row, side: str) -> str:
        return ", ".join(f"{each:,}" for each in row[f"{side}_by_seed"])

    recipes_noise, papers_noise = results("digits-100")
    (mnist,), (junk,) = map(results, ("mnist-100", "junk"))
    shown = table("results.md", "Errors with few labels")
    expected = [
        (errors(recipes_noise), errors(recipes_noise, "peer")),
        (errors(papers_noise), errors(papers_noise, "peer")),
        (f"{by_seed(mnist, 'ours')}: {errors(mnist)}", by_seed(mnist, "peer")),
        (
            f"{junk['ours']:.1f}; without junk {junk['peer']:.1f}",
            f"{mean(junk['baseline_by_seed']):.1f}",
        ),
    ]
    for (what, gan, baseline, _), (ours, peer) in zip(shown, expected, strict=True):
        # What stands in brackets is the paper's.
        assert gan.partition(" (")[0].replace(" %", "%") == ours, what
        assert baseline.replace(" %", "%") == peer, what


def test_fast_and_reference_path() -> None:
    (row,) = results("mnist-paths")
    assert row["seeds"] == list(range(7))
    shown = table("notes/mnist.md", "The fast path and the reference path")
    for (_, *cells), side in zip(shown, ("ours", "peer"), strict=True):
        by_seed, (of_three, of_all) = row[f"{side}_by_seed"], cells[-2:]
        assert [int(cell) for cell in cells[:-2]] == by_seed
        assert shows(of_three, mean(by_seed[:3]), stdev(by_seed[:3]))
        assert shows(of_all, mean(by_seed), stdev(by_seed)) and len(figures(of_all)) == 2
    differences = [
        ours - peer for ours, peer in zip(row["ours_by_seed"], row["peer_by_seed"], strict=True)
    ]
    found = stats.ttest_1samp(differences, 0)
    said = (
        f"the difference is {mean(differences):.1f} with a standard error of"
        f" {stats.sem(differences):.1f} (t = {found.statistic:.1f}, p = {found.pvalue:.2f})"
    )
    assert said.replace("p = 0.", "p = .") in text_of("notes/mnist.md")


def test_errors_of_the_peer() -> None:
    (row,) = results("mnist-peer-accuracy-seed2")
    page = text_of("notes/mnist.md")
    by_seed, by_epoch = row["ours_by_seed"], row["peer_by_epoch"]
    assert row["seeds"] == list(range(5)) and row["peer"] == min(by_epoch)
    assert f"{row['peer']} errors of 10,000 after {len(by_epoch)} epochs" in page
    assert f"ours makes {', '.join(map(str, by_seed))} on seeds 0 to 4" in page
    behind = sum(ours < peer for ours, peer in zip(row["ours_by_epoch"], by_epoch, strict=True))
    assert f"was behind ours of the same seed in {behind} of {len(by_epoch)} epochs" in page
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
