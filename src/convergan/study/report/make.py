"""The report of votes, in all its forms."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from convergan.errors import UserError, printable
from convergan.outputs import is_standard_output, require_output
from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.rates import MARGIN, Rates, rates_of
from convergan.study.analysis.screens import Screens, without_flagged
from convergan.study.analysis.statistics.learning import BLOCK_TRIALS
from convergan.study.analysis.votes import Votes
from convergan.study.import_export.votes_import import read_scores
from convergan.study.report.as_json import write_json
from convergan.study.report.inputs import StudyReport
from convergan.study.report.page import write_page
from convergan.study.report.terminal import print_report
from convergan.terminal import standard_console


def make_report(
    data: Votes | Rates,
    *,
    title: str,
    source: str,
    page: Path,
    json: Path | None = None,
    image_scores: Path | None = None,
    set_scores: Path | None = None,
    margin: float = MARGIN,
    screens: Screens | None = None,
    block_trials: int = BLOCK_TRIALS,
    seed: int = 0,
    simulated: bool = False,
    picture_of: Callable[[str], bytes | None] | None = None,
    notes: tuple[str, ...] = (),
    overwrite: bool = False,
    console: Console | None = None,
) -> StudyReport:
    """Analyse votes or error rates, print the findings, and write the page and, if asked, the JSON.

    The arguments that are not listed are those of `analyse` and of `StudyReport`.

    Args:
        data: votes or error rates.
        page: HTML file to write.
        json: JSON file to write; None for none.
        image_scores: file with the columns image and score, as for `read_scores`.
        set_scores: file with the columns images and score, as for `read_scores`.
        overwrite: replace existing files.
        console: console to print on; None for the standard output, or for the standard error where a file is
            written to the standard output.

    Returns:
        The report that was written.

    Raises:
        UserError: as `analyse`, `read_scores` and `write_page`; or a file exists, and `overwrite` is off.
    """
    outputs = {"out": page, "json": json}
    for name, path in outputs.items():
        if path is not None:
            require_output(path, name=name, overwrite=overwrite)
    if json is not None and (json == page or json.resolve() == page.resolve()):
        raise UserError(f"json: expected another path than that of out, got {json}")
    findings = analyse(
        data,
        image_scores=read_scores(image_scores, "image") if image_scores else None,
        set_scores=read_scores(set_scores, "images") if set_scores else None,
        margin=margin,
        screens=screens,
        block_trials=block_trials,
        seed=seed,
    )
    included, _ = without_flagged(data, findings.flagged)
    report = StudyReport(
        title=title,
        source=source,
        findings=findings,
        rates=rates_of(included) if isinstance(included, Votes) else included,
        simulated=simulated,
        picture_of=picture_of,
        notes=notes,
    )
    write_page(page, report)
    if json is not None:
        write_json(json, report)
    printed = any(path is not None and is_standard_output(path) for path in outputs.values())
    console = console or standard_console(stderr=printed)
    print_report(console, report)
    # Not `print`: brackets in a path are not markup.
    console.out(printable(f"report: {page}"), highlight=False)
    return report
