"""The report of a study's own votes."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select

from convergan.study.export import left_out, read_votes, write_pictures
from convergan.study.opening import open_study
from convergan.study.report.inputs import StudyReport
from convergan.study.report.make import make_report
from convergan.study.schema import Study


def report_study(study: str, page: Path, *, simulated: bool = False, **options: Any) -> StudyReport:
    """The report of the votes that count, with the images and with who is not counted.

    Args:
        study: as for `open_study`.
        simulated: of the votes of simulated participants instead.
        options: the others of `make_report`.

    Raises:
        UserError: as `read_votes` and `make_report`.
    """
    votes = read_votes(study, simulated=simulated)
    with closing(open_study(study)) as database, database.reading() as session:
        title = session.scalars(select(Study.plan)).one()["title"]
    with TemporaryDirectory() as folder:
        return make_report(
            votes,
            title=title,
            source=str(database),
            page=page,
            simulated=simulated,
            pictures=write_pictures(study, Path(folder)),
            notes=() if simulated else left_out(study),
            **options,
        )
