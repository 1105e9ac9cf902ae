"""`convergan study ...`: the commands of the visual Turing test. Heavy imports wait until one runs."""

import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from annotated_types import Interval
from tyro.conf import Positional, UseAppendAction, arg, subcommand

from convergan.errors import UserError, printable, shortened
from convergan.outputs import is_standard_output
from convergan.progress_bar import progress_bar
from convergan.ranges import Checked, Seed
from convergan.study.plan import CONTROL, Plan
from convergan.study_commands.planning import Power, ShowPlan, power_line
from convergan.study_commands.planning import Study as _Study


def require_extra() -> None:
    """Raises UserError where the packages of the extra [study] are missing."""
    missing = [
        name
        for name in ("alembic", "fastapi", "itsdangerous", "sqlalchemy", "uvicorn")
        if not find_spec(name)
    ]
    if missing:
        raise UserError(
            f"study: expected the packages of the extra [study], got none of {', '.join(missing)};"
            " pip install 'convergan[study]' installs them"
        )


def _key_file(study: str, key: Path | None) -> Path:
    from convergan.study.keys import default_key_file

    return key or default_key_file(study)


@dataclass(kw_only=True)
class Create(Checked):
    """Make a new study from a folder of real and a folder of generated images."""

    real: Path
    """Folder of real images."""

    generated: Path
    """Folder of generated images; its name becomes that of the set."""

    arm: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=DIR")] = ()
    """Another set of generated images, with arms of its own; once for each."""

    control_images: Path | None = None
    """Folder of obvious fakes for `--controls`, such as samples of an early checkpoint."""

    out: str = "study.db"
    """The database: a new file, or postgresql://user@host/name."""

    key: Path | None = None
    """The file of the study's secrets. Unset: beside the database."""

    plan: Annotated[Plan, arg(name="")] = field(default_factory=Plan)
    """Everything that is decided before the first participant."""

    def run(self) -> None:
        require_extra()
        from convergan.study.create import create_study

        generated = {self.generated.resolve().name: self.generated}
        for each in self.arm:
            name, _, folder = each.partition("=")
            if not name or not folder or name in generated:
                raise UserError(
                    f"arm: expected NAME=DIR with a name of its own, got {shortened(each)}"
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
            # Folders' names are anyone's.
            print(printable(line))
        for warning in created.warnings:
            print(printable(f"warning: {warning}"), file=sys.stderr)


@dataclass(kw_only=True)
class Serve(Checked):
    """Serve a study to participants, and its admin page to you. Ctrl-C stops it; nothing is lost."""

    study: _Study
    """The study's file, or postgresql://user@host/name."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 for all of this machine's. Put a server with https before it."""

    port: Annotated[int, Interval(ge=1, le=65_535)] = 8000
    """The port to listen on."""

    workers: Annotated[int, Interval(ge=1, le=256)] = 2
    """Processes that share the work."""

    root_path: str = ""
    """The path that participants reach the study under, such as /turing, where it does not have a host of its
    own. Whether the proxy takes it away or passes it on makes no difference."""

    trusted_proxies: str = "127.0.0.1,::1"
    """Addresses or networks of the proxies before this server, with commas; `*`: whoever connects. They alone
    are believed in X-Forwarded-For and X-Forwarded-Proto: whose the request is, and that it came by https."""

    key: Path | None = None
    """The file of the study's secrets. Unset: beside the study."""

    def run(self) -> None:
        require_extra()
        from convergan.study.entry import new_link
        from convergan.study.serve import ready_to_serve, root_path, serve, trusted_proxies

        root, proxies = root_path(self.root_path), trusted_proxies(self.trusted_proxies)
        key_file = _key_file(self.study, self.key)
        keys = ready_to_serve(self.study, key_file, host=self.host, port=self.port)
        here = f"http://{self.host}:{self.port}{root}"
        for line in (
            f"look around: {here}/join/{new_link(keys, 'preview')}",
            f"admin page:  {here}/admin",
            f"its token:   {keys.admin_token}",
        ):
            print(printable(line), flush=True)
        serve(
            self.study, key_file, host=self.host, port=self.port, workers=self.workers,
            root=root, proxies=proxies,
        )  # fmt: skip


@dataclass(kw_only=True)
class Invite(Checked):
    """Make links to a study, or what Prolific needs."""

    study: _Study
    """The study's file, or postgresql://user@host/name."""

    url: str = "http://127.0.0.1:8000"
    """Where participants reach the study."""

    way: Literal["personal", "open", "preview", "prolific"] = "personal"
    """`personal`: links for one person each; `open`: one link for many, a session for each browser;
    `preview`: for looking around, which counts nowhere; `prolific`: the address and the completion codes
    to enter there. Nobody comes without a link."""

    count: Annotated[int, Interval(ge=1, le=10**6)] = 1
    """How many personal links."""

    key: Path | None = None
    """The file of the study's secrets. Unset: beside the study."""

    def run(self) -> None:
        require_extra()
        from convergan.study.invite import links, prolific_settings
        from convergan.study.opening import open_with_keys

        database, keys = open_with_keys(self.study, _key_file(self.study, self.key))
        database.close()
        if self.way == "prolific":
            lines = prolific_settings(self.study, keys, self.url).splitlines()
        else:
            lines = links(keys, self.url, self.way, self.count)
        for line in lines:
            print(printable(line))


@dataclass(kw_only=True)
class DryRun(Checked):
    """Let bots take a study, to try everything after it. They are marked as simulated and count nowhere."""

    study: _Study
    """The study's file, or postgresql://user@host/name."""

    participants: Annotated[int, Interval(ge=1, le=100_000)] = 8
    """How many bots."""

    def run(self) -> None:
        require_extra()
        from convergan.study.bots import run_bot
        from convergan.study.opening import open_study

        database = open_study(self.study)
        with progress_bar("answering", unit="participants") as progress:
            for number in range(self.participants):
                run_bot(database)
                progress(number + 1, self.participants)
        print(printable(f"{database}: {self.participants} SIMULATED participants"))


@dataclass(kw_only=True)
class Report(Checked):
    """Say what the votes of a study are worth: here, as JSON, and as one page with figures."""

    study: _Study
    """The study's file, postgresql://user@host/name, or a .csv or .parquet that `study import` wrote."""

    out: Path = Path("report.html")
    """The page: one file that holds everything."""

    json: Path | None = None
    """Everything unrounded, as JSON. `-`: the standard output."""

    overwrite: bool = False
    """Replace a page and JSON that are there."""

    image_scores: Path | None = None
    """CSV or Parquet with columns image and score, such as the images' Inception quantity: does it tell which
    images fool people?"""

    set_scores: Path | None = None
    """CSV or Parquet with columns images and score: do the scores of whole sets go with people's errors?"""

    margin: Annotated[float, Interval(gt=0, lt=0.5)] | None = None
    """Distance from 50 % of right answers that still counts as none. Unset: the plan's; 0.05 of other
    votes."""

    block_trials: Annotated[int, Interval(ge=1, le=10_000)] = 10
    """Trials in each block of the learning curve."""

    seed: Seed = 0
    """Of the bootstraps and permutations."""

    simulated: bool = False
    """The votes of the dry run instead."""

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
            from convergan.study.report.of_study import report_study

            report_study(
                self.study, self.out, simulated=self.simulated, margin=self.margin, **options
            )
            return
        from convergan.study.votes_import import read_collected

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
    """Read votes, or error rates of participants, that were collected elsewhere."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """CSV or Parquet, a row for each vote or each participant."""

    out: Path
    """CSV or Parquet to write, for `study report`."""

    columns: tuple[str, ...] = ()
    """OURS=THEIRS where a column has another name. Of votes: participant, image, generated,
    answered_generated, arm, images, trial, response_seconds, feedback, control, exposure_ms, shown_ms,
    frame_ms. Of rates: participant,
    error_on_generated, error_on_real, generated_trials, real_trials, arm, images."""

    overwrite: bool = False
    """Replace a file that is there."""

    def run(self) -> None:
        from convergan.study.votes_import import import_votes

        told = import_votes(self.file, self.out, self.columns, overwrite=self.overwrite)
        shown = sys.stderr if is_standard_output(self.out) else sys.stdout
        for line in told.splitlines():
            print(printable(line), file=shown)


@dataclass(kw_only=True)
class Export(Checked):
    """Write everything that is known of a study, finished or not, as CSV, with a codebook; the votes that
    count as Parquet, too, with a script for R that fits the mixed model."""

    study: _Study
    """The study's file, or postgresql://user@host/name."""

    out: Path
    """Folder to write to."""

    simulated: bool = False
    """The votes of the dry run instead."""

    overwrite: bool = False
    """Replace files of an earlier export that are there."""

    def run(self) -> None:
        require_extra()
        from convergan.study.export import export_study

        count = export_study(
            self.study, self.out, simulated=self.simulated, overwrite=self.overwrite
        )
        votes = "SIMULATED votes" if self.simulated else "votes"
        print(printable(f"{self.out}: {count:,} {votes}"))


@dataclass(kw_only=True)
class Forget(Checked):
    """Forget a participant: who it was, and unless you say otherwise the answers."""

    study: _Study
    """The study's file, or postgresql://user@host/name."""

    participant: Annotated[Positional[str], arg(metavar="PARTICIPANT")]
    """A code, a personal link, or Prolific's identifier of the person or the submission; `-` reads it from
    the standard input, so that it stays out of your shell's history."""

    keep_votes: bool = False
    """Keep the answers, which then belong to nobody."""

    key: Path | None = None
    """The file of the study's secrets. Unset: beside the study."""

    def run(self) -> None:
        require_extra()
        from convergan.study.forgetting import forget
        from convergan.study.opening import open_with_keys

        database, keys = open_with_keys(self.study, _key_file(self.study, self.key))
        named = sys.stdin.readline() if self.participant == "-" else self.participant
        code = forget(database, keys, named, keep_votes=self.keep_votes)
        database.close()
        votes = "stay" if self.keep_votes else "are deleted"
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
    """Have people tell generated images from real ones: the visual Turing test."""

    command: Annotated[_STUDY_COMMAND, arg(name="")]
    """What to do."""

    def run(self) -> None:
        self.command.run()
