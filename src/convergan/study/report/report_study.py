"""The report of the votes in a study's database."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from convergan.study.analysis.screens import screens_of
from convergan.study.design.plan import Plan
from convergan.study.import_export.export import left_out, picture_of, read_votes
from convergan.study.report.inputs import StudyReport
from convergan.study.report.make import make_report
from convergan.study.storage.audit import events
from convergan.study.storage.opening import open_study
from convergan.study.storage.schema import Study


def report_study(
    study: str, page: Path, *, simulated: bool = False, margin: float | None = None, **options: Any
) -> StudyReport:
    """Report the votes of a study that count, with images and with the numbers of excluded participants.

    Args:
        study: file or URL of the database, as for `open_study`.
        page: HTML file to write.
        simulated: report the votes of simulated participants instead.
        margin: largest distance from an accuracy of 50 % that counts as chance; None for that of the plan. A
            note says where it differs from the plan.
        options: further arguments of `make_report`.

    Returns:
        The report that was written.

    Raises:
        UserError: as `read_votes` and `make_report`.
    """
    votes = read_votes(study, simulated=simulated)
    with closing(open_study(study)) as database:
        with database.reading() as session:
            plan = Plan(**session.get_one(Study, 1).plan)
            changes = _changes(session)
        notes = () if simulated else left_out(study) + changes
        if margin is not None and margin != plan.margin:
            notes += (
                f"The margin is {100 * margin:g} points instead of the plan's {100 * plan.margin:g}.",
            )

        def stored(image: str) -> bytes | None:
            # Not in the transaction above: participants may still vote while the analysis runs.
            with database.reading() as session:
                return picture_of(session, image)

        return make_report(
            votes,
            title=plan.title,
            source=str(database),
            page=page,
            simulated=simulated,
            picture_of=stored,
            notes=notes,
            margin=plan.margin if margin is None else margin,
            screens=screens_of(plan),
            **options,
        )


def _changes(session: Session) -> tuple[str, ...]:
    """Describe changes of the sample size: whoever looks at results and then asks more people finds more."""
    return tuple(
        f"Changed on {time.strftime('%Y-%m-%d', time.gmtime(event.at))}, after the plan was frozen: "
        f"{event.detail}."
        for event in events(session)
        if event.what == "quota"
    )
