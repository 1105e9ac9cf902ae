"""docs/study.md: its commands run, and what it says about the plan and the columns is true."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

from convergan.cli import main
from convergan.study.design.plan import Plan
from convergan.study.import_export.export import _COLUMNS
from convergan.study.storage.keys import read_key_file
from convergan.study.storage.opening import open_study
from documented import lines_not_printed
from studies import MadeStudy, write_images

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "study.md").read_text()
TUTORIAL = (DOCS / "tutorials" / "study.md").read_text()


def test_the_commands_run_one_after_the_other(tmp_path, monkeypatch, serve, capsys):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "real", ("circles",), 60)
    write_images(tmp_path / "samples", ("stripes",), 60)
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.S | re.M)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len([line for line in commands if line.startswith("convergan study ")]) >= 7
    for line in commands:
        program, *words = shlex.split(line)
        if program == ".venv/bin/pip":
            continue
        if words[:2] == ["study", "serve"]:
            # Another test does; here somebody takes part.
            keys = read_key_file(Path("study.key"))
            study = MadeStudy("study.db", Path("study.key"), open_study("study.db"), keys, Plan())
            serve(study).participant().finish()
            continue
        assert main(words) == 0, line
    assert (tmp_path / "votes" / "votes.csv").read_text().count("\n") == 1 + 100
    assert (tmp_path / "votes" / "mixed_model.R").exists()
    assert (tmp_path / "report.html").exists()
    fences = re.findall(r"^```([^`\n]*)\n(.*?)^```$", PAGE, re.S | re.M)
    (block,) = [text for kind, text in fences if not kind and text.startswith("study: ")]
    assert lines_not_printed(block, capsys.readouterr().out) == []


def test_the_defaults_are_as_documented():
    defaults = {field.name.replace("_", "-"): field.default for field in fields(Plan)}
    documented = dict(re.findall(r"`--([a-z-]+) (\d+)`", PAGE))
    assert len(documented) >= 5
    assert {name: str(defaults[name]) for name in documented} == documented


def test_the_columns_are_as_documented():
    table = PAGE.partition("| column | holds |")[2].partition("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.count("|") == 3]
    assert re.findall(r"`([a-z_]+)`", " ".join(first)) == list(_COLUMNS)
