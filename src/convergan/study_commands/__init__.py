"""Commands of the visual Turing test, `convergan study ...`. Heavy imports wait until a command runs."""

import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from annotated_types import Interval
from tyro.conf import Positional, UseAppendAction, arg, subcommand

from convergan.errors import UserError, install_command, printable, shortened
from convergan.outputs import is_standard_output
from convergan.progress_bar import progress_bar
from convergan.ranges import Checked, Seed
from convergan.study.design.plan import CONTROL, Plan
from convergan.study_commands.planning import Power, ShowPlan, power_line
from convergan.study_commands.planning import StudyArgument as _Study


def require_extra() -> None:
    """Raise UserError if packages of the extra [study] are missing."""
    missing = [
        name
        for name in ("alembic", "fastapi", "itsdangerous", "sqlalchemy", "uvicorn")
        if not find_spec(name)
    ]
    if missing:
        raise UserError(
            f"study: expected the packages of the extra [study], got none of {', '.join(missing)};"
            f" {install_command('study')} installs them"
        )


def _key_file(study: str, key: Path | None) -> Path:
    from convergan.study.storage.keys import default_key_file

    return key or default_key_file(study)


@dataclass(kw_only=True)
class Create(Checked):
    """Create a study from a folder of real images and a folder of generated images."""

    real: Path
    """Folder of real images."""

    generated: Path
    """Folder of generated images; the name of the folder becomes the name of the set."""

    arm: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=DIR")] = ()
    """Another set of generated images, with its own arms; may be repeated."""

    control_images: Path | None = None
    """Folder of obvious fakes for `--controls`, such as samples of an early checkpoint."""

    out: str = "study.db"
    """Database of the study: a new file, or postgresql://user@host/name."""

    key: Path | None = None
    """File for the study's secret keys. Unset: next to the database."""

    plan: Annotated[Plan, arg(name="")] = field(default_factory=Plan)
    """Settings that are fixed before the first participant."""

    def run(self) -> None:
        require_extra()
        from convergan.study.preparation.create import create_study

        generated = {self.generated.resolve().name: self.generated}
        for text in self.arm:
            name, _, folder = text.partition("=")
            if not name or not folder or name in generated:
                raise UserError(
                    f"arm: expected NAME=DIR with a name of its own, got {shortened(text)}"
                )
            generated[name] = Path(folder)
        key_file = _key_file(self.out, self.key)
        with progress_bar("reading images") as progress:
            created = create_study(
                self.out, key_file, self.plan,
                real=self.real, generated=generated, controls=self.control_images, progress=progress,
            )  # fmt: skip
        counted = ", ".join(f"{count:,} {name}" for name, count in created.images.items())
        arms = "; ".join(arm.name for arm in created.arms)
        fewest = min(count for name, count in created.images.items() if name != CONTROL)
        for line in (
            f"study: {created.database} ({counted} images, {created.size_px}x{created.size_px})",
            f"arms:  {arms}; {self.plan.participants} participants each",
            f"power: {power_line(self.plan, len(created.arms), fewest)}",
            f"keys:  {key_file} (keep it: the links and the admin page need it)",
        ):
            # Folders may have any names.
            print(printable(line))
        for warning in created.warnings:
            print(printable(f"warning: {warning}"), file=sys.stderr)


@dataclass(kw_only=True)
class Serve(Checked):
    """Serve a study to participants, and its admin page to you.

    Ctrl-C stops the server; nothing is lost.
    """

    study: _Study
    """Database of the study: a file, or postgresql://user@host/name."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0: all addresses of this machine. Put a reverse proxy with HTTPS in
    front."""

    port: Annotated[int, Interval(ge=1, le=65_535)] = 8000
    """Port to listen on."""

    workers: Annotated[int, Interval(ge=1, le=256)] = 2
    """Number of server processes."""

    root_path: str = ""
    """Path of the study's address, such as /turing, if the study does not have its own host name. The proxy
    may strip the path or pass it on."""

    trusted_proxies: str = "127.0.0.1,::1"
    """Addresses or networks of the proxies in front of this server, separated by commas; `*`: any. Only their
    headers X-Forwarded-For and X-Forwarded-Proto are trusted for the client's address and for HTTPS."""

    key: Path | None = None
    """File with the study's secret keys. Unset: next to the study."""

    def run(self) -> None:
        require_extra()
        from convergan.study.collect.entry import new_link
        from convergan.study.web.serve import ready_to_serve, root_path, serve, trusted_proxies

        root, proxies = root_path(self.root_path), trusted_proxies(self.trusted_proxies)
        key_file = _key_file(self.study, self.key)
        keys = ready_to_serve(self.study, key_file, host=self.host, port=self.port)
        address = f"http://{self.host}:{self.port}{root}"
        for line in (
            f"preview:     {address}/join/{new_link(keys, 'preview')}",
            f"admin page:  {address}/admin",
            f"admin token: {keys.admin_token}",
        ):
            print(printable(line), flush=True)
        serve(
            self.study, key_file, host=self.host, port=self.port, workers=self.workers,
            root=root, proxies=proxies,
        )  # fmt: skip


@dataclass(kw_only=True)
class Invite(Checked):
    """Create links to a study, or the settings for Prolific."""

    study: _Study
    """Database of the study: a file, or postgresql://user@host/name."""

    url: str = "http://127.0.0.1:8000"
    """Address at which participants reach the study."""

    kind: Literal["personal", "open", "preview", "prolific"] = "personal"
    """Kind of link. `personal`: each link is for one person. `open`: one link for many people, with one
    session per browser. `preview`: for trying the study; its votes are not counted. `prolific`: the address
    and the completion codes to enter there. Nobody can enter without a link."""

    count: Annotated[int, Interval(ge=1, le=10**6)] = 1
    """Number of personal links."""

    key: Path | None = None
    """File with the study's secret keys. Unset: next to the study."""

    def run(self) -> None:
        require_extra()
        from convergan.study.collect.entry import links, prolific_settings
        from convergan.study.storage.opening import open_with_keys

        database, keys = open_with_keys(self.study, _key_file(self.study, self.key))
        database.close()
        if self.kind == "prolific":
            lines = prolific_settings(self.study, keys, self.url).splitlines()
        else:
            lines = links(keys, self.url, self.kind, self.count)
        for line in lines:
            print(printable(line))


@dataclass(kw_only=True)
class DryRun(Checked):
    """Let bots take part in a study, to test all later steps.

    Bots are marked as simulated and not counted.
    """

    study: _Study
    """Database of the study: a file, or postgresql://user@host/name."""

    participants: Annotated[int, Interval(ge=1, le=100_000)] = 8
    """Number of bots."""

    def run(self) -> None:
        require_extra()
        from convergan.study.collect.bots import run_bot
        from convergan.study.storage.opening import open_study

        database, left = open_study(self.study), 0
        with progress_bar("answering", unit="participants") as progress:
            for number in range(self.participants):
                left += not run_bot(database).finished
                progress(number + 1, self.participants)
        leavers = f", {left} of whom left half-way: the report is without them" if left else ""
        print(printable(f"{database}: {self.participants} SIMULATED participants{leavers}"))


@dataclass(kw_only=True)
class Report(Checked):
    """Analyse the votes of a study; show the results in the terminal, as JSON and as a page."""

    study: _Study
    """Database of the study (a file, or postgresql://user@host/name), or a .csv or .parquet file from `study
    import`."""

    out: Path = Path("report.html")
    """File for the page, which is self-contained."""

    json: Path | None = None
    """JSON file for all numbers, unrounded. `-`: the standard output."""

    overwrite: bool = False
    """Replace an existing page and JSON file."""

    image_scores: Path | None = None
    """CSV or Parquet with the columns image and score, such as each image's contribution to the Inception
    score, to test whether the score predicts which images fool people."""

    set_scores: Path | None = None
    """CSV or Parquet with the columns images and score, to test whether the scores of sets of images
    correlate with people's errors."""

    margin: Annotated[float, Interval(gt=0, lt=0.5)] | None = None
    """Equivalence margin: a proportion of right answers this close to 50 % counts as guessing. Unset: that of
    the plan; 0.05 for imported votes."""

    block_trials: Annotated[int, Interval(ge=1, le=10_000)] = 10
    """Number of trials in each block of the learning curve."""

    seed: Seed = 0
    """Seed of the bootstraps and permutations."""

    simulated: bool = False
    """Use the votes of the dry run instead."""

    def run(self) -> None:
        from convergan.study.report import make_report

        options: dict[str, Any] = {
            "json": self.json,
            "overwrite": self.overwrite,
            "image_scores": self.image_scores,
            "set_scores": self.set_scores,
            "block_trials": self.block_trials,
            "seed": self.seed,
        }
        if not self.study.lower().endswith((".csv", ".parquet")):
            require_extra()
            from convergan.study.report.report_study import report_study

            report_study(
                self.study, self.out, simulated=self.simulated, margin=self.margin, **options
            )
            return
        from convergan.study.import_export.votes_import import read_collected

        if self.simulated:
            raise UserError(f"simulated: expected a study's database, got {self.study}")
        file = Path(self.study)
        if self.margin is not None:
            options["margin"] = self.margin
        make_report(
            read_collected(file), title=file.stem, source=str(file), page=self.out, **options
        )


@dataclass(kw_only=True)
class Import(Checked):
    """Import votes, or error rates of participants, that were collected elsewhere."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """CSV or Parquet file with one row per vote, or one row per participant."""

    out: Path
    """CSV or Parquet file to write, for `study report`."""

    columns: tuple[str, ...] = ()
    """Names of columns that differ in FILE, as NAME=NAME_IN_FILE. Columns of votes: participant, image,
    generated, answered_generated, arm, images, trial, response_seconds, feedback, control, exposure_ms,
    shown_ms, frame_ms. Columns of rates: participant, error_on_generated, error_on_real, generated_trials,
    real_trials, arm, images."""

    overwrite: bool = False
    """Replace an existing file."""

    def run(self) -> None:
        from convergan.study.import_export.votes_import import import_votes

        summary = import_votes(self.file, self.out, self.columns, overwrite=self.overwrite)
        stream = sys.stderr if is_standard_output(self.out) else sys.stdout
        for line in summary.splitlines():
            print(printable(line), file=stream)


@dataclass(kw_only=True)
class Export(Checked):
    """Export all data of a study, finished or not, as CSV with a codebook.

    The counted votes are also written as Parquet, with an R script that fits the mixed model.
    """

    study: _Study
    """Database of the study: a file, or postgresql://user@host/name."""

    out: Path
    """Folder to write to."""

    simulated: bool = False
    """Use the votes of the dry run instead."""

    overwrite: bool = False
    """Replace the files of an earlier export."""

    def run(self) -> None:
        require_extra()
        from convergan.study.import_export.export import export_study

        count = export_study(
            self.study, self.out, simulated=self.simulated, overwrite=self.overwrite
        )
        votes = "SIMULATED votes" if self.simulated else "votes"
        print(printable(f"{self.out}: {count:,} {votes}"))


@dataclass(kw_only=True)
class Forget(Checked):
    """Delete a participant's identity and, without --keep-votes, the answers."""

    study: _Study
    """Database of the study: a file, or postgresql://user@host/name."""

    participant: Annotated[Positional[str], arg(metavar="PARTICIPANT")]
    """Code or personal link of the participant, or Prolific's id of the person or the submission. `-`: read
    from the standard input, which keeps the text out of your shell's history."""

    keep_votes: bool = False
    """Keep the answers without the participant's identity."""

    key: Path | None = None
    """File with the study's secret keys. Unset: next to the study."""

    def run(self) -> None:
        require_extra()
        from convergan.study.collect.forgetting import forget
        from convergan.study.storage.opening import open_with_keys

        database, keys = open_with_keys(self.study, _key_file(self.study, self.key))
        identifier = sys.stdin.readline() if self.participant == "-" else self.participant
        code = forget(database, keys, identifier, keep_votes=self.keep_votes)
        database.close()
        votes = "were kept" if self.keep_votes else "were deleted"
        print(printable(f"{code}: forgotten; the votes {votes}"))


STUDY_COMMANDS = {
    "create": Create,
    "plan": ShowPlan,
    "power": Power,
    "serve": Serve,
    "invite": Invite,
    "dry-run": DryRun,
    "report": Report,
    "import": Import,
    "export": Export,
    "forget": Forget,
}

_STUDY_COMMAND: Any = Union[  # noqa: UP007
    tuple(
        Annotated[command, subcommand(name, prefix_name=False)]
        for name, command in STUDY_COMMANDS.items()
    )
]


@dataclass(kw_only=True)
class StudyCommand:
    """Run a visual Turing test: people distinguish generated images from real ones."""

    command: Annotated[_STUDY_COMMAND, arg(name="")]
    """Command to run."""

    def run(self) -> None:
        self.command.run()
