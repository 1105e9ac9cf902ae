"""The tables of docs/performance.md and docs/results.md say what the committed JSON says."""

import re
from math import sqrt
from statistics import mean, stdev
from typing import NamedTuple

import pytest
from scipy import stats

from documented import ROOT, Row, results, table


class Line(NamedTuple):
    """A line of the table of speeds; what it leaves blank, or calls the same, is that of the line before."""

    claim: str
    ours: str
    peer: str
    faster: str
    floor: str
    results: str


def lines_of_speed() -> list[Line]:
    lines: list[Line] = []
    for claim, ours, peer, faster, floor, command in table("performance.md", "Measured"):
        before = lines[-1] if lines else None
        if not claim and before:
            claim, ours, floor = before.claim, before.ours, before.floor
        benchmark = re.search(r"benchmarks/(\w+)\.py", command)
        named = re.search(r"results/([\w-]+)\.json", command)
        if before and command == "the same":
            name = before.results
        else:
            assert benchmark, command
            name = named[1] if named else benchmark[1].replace("_", "-")
        lines.append(Line(claim, ours, peer, faster, floor, name))
    return lines


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


def is_of(line: Line, row: Row) -> bool:
    """Whether a row of results says all that a line says."""
    for words, threads in (("one thread", "1 thread"), ("two threads", "2 threads")):
        if words in line.claim and not row["device"].endswith(threads):
            return False
    for side in ("ours", "peer"):
        value = row[side]
        if " ms" in line.ours:
            value *= 1e3
        if "a second" in line.ours:
            value = row.get(f"{side}_images_per_second", row.get("images_per_second"))
        if not shows(getattr(line, side), value, row.get(f"{side}_epoch_reached")):
            return False
    low, _, high = row.get("times_faster_quartiles", (None, None, None))
    return shows(line.faster, row["times_faster"], low, high) and shows(
        line.floor, row["times_floor"]
    )


def of_several_rows() -> dict[str, tuple[str, ...]]:
    """Claims that stand for several rows: what they say of ours, of the peer, of both and of the floor."""

    def milliseconds(row: Row, side: str = "ours") -> str:
        return f"{1e3 * row[side]:.0f}"

    memory = {
        row["peer_name"]: row
        for row in results("minibatch-discrimination")
        if row["setting"] == "n = 512, B = 100, C = 20" and row["unit"].startswith("MB")
    }
    conv = [row for row in results("virtual-batch-norm") if row["setting"].startswith("conv")]
    by_time = sorted(conv, key=lambda row: row["ours"])
    faster, floors = (sorted(row[name] for row in conv) for name in ("times_faster", "times_floor"))
    shares = {
        unit: ", ".join(
            f"{row['share_of_peer']:.1%}".replace("%", " %")
            for row in results("data-size")
            if row["unit"] == unit
        )
        for unit in ("seconds", "MB of anonymous memory")
    }
    sqlite, postgresql = results("study-load")
    return {
        "its memory, n = 512, B = 100, C = 20": (
            f"{memory['broadcasting']['ours']:.0f} MB",
            f"broadcasting {memory['broadcasting']['peer']:,.0f} MB;"
            f" `torch.cdist` {memory['torch.cdist']['peer']:.0f} MB",
            "",
            "",
        ),
        "four sizes of convolutions": (
            f"{milliseconds(by_time[0])} to {milliseconds(by_time[-1])} ms",
            f"{milliseconds(by_time[0], 'peer')} to {milliseconds(by_time[-1], 'peer')} ms",
            ", ".join(f"{each:.2f}" for each in faster),
            f"{floors[0]:.1f} to {floors[-1]:.1f} x",
        ),
        "200,000 images, 2,000,000, in place of 20,000, on the disk (`--data.resident-mb 0`):"
        " a step of `mnist`": (
            f"{shares['seconds']} of the time",
            *3 * ("",),
        ),
        "and its memory": (shares["MB of anonymous memory"], *3 * ("",)),
        "100 participants of a study at once, 95 % of votes": (
            f"SQLite {milliseconds(sqlite)} ms, PostgreSQL {milliseconds(postgresql)} ms",
            f"the limit that was set: {milliseconds(sqlite, 'peer')} ms",
            "",
            "",
        ),
    }


@pytest.mark.parametrize("line", lines_of_speed(), ids=lambda line: f"{line.claim}: {line.peer}")
def test_each_speed_is_that_of_one_row(line: Line) -> None:
    several = of_several_rows()
    if line.claim in several:
        assert line[1:-1] == several[line.claim]
        return
    rows = results(line.results)
    peers = {row["peer_name"] for row in rows if row["peer_name"] in line.peer}
    found = [row for row in rows if is_of(line, row)]
    assert len(found) == 1, f"{len(found)} rows of {line.results}.json are as {line}"
    assert not peers or found[0]["peer_name"] in peers


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
    shown = table("performance.md", "The fast path beside the reference path")
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
    assert said.replace("p = 0.", "p = .") in text_of("performance.md")


def test_errors_of_the_peer() -> None:
    (row,) = results("mnist-peer-accuracy-seed2")
    page = text_of("performance.md")
    by_seed, by_epoch = row["ours_by_seed"], row["peer_by_epoch"]
    assert row["seeds"] == list(range(5)) and row["peer"] == min(by_epoch)
    assert f"{row['peer']} errors of 10,000 after {len(by_epoch)} epochs" in page
    assert f"ours makes {', '.join(map(str, by_seed))} on seeds 0 to 4" in page
    behind = sum(ours < peer for ours, peer in zip(row["ours_by_epoch"], by_epoch, strict=True))
    assert f"behind ours of the same seed in {behind} of {len(by_epoch)} epochs" in page
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
