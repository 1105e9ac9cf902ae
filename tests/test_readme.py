"""The README and the documentation: every command of README and tutorials and every snippet is run."""

import io
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from rich.console import Console

from convergan.cli import main
from convergan.json_files import read_json
from convergan.runs.results import Results
from convergan.training.progress import print_verdict
from convergan.training.verdict import verdict_sentence
from documented import lines_not_printed
from drawn_images import write_folder
from support import results_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIALS = [page for page in PAGES if page.parent.name == "tutorials" and page.stem != "index"]

# Where a user waits for minutes, the test trains a small network for one epoch.
QUICK = ["--epochs", "1"]
QUICK_STUDY = ["--trials", "4", "--practice", "2", "--checks", "0"]
QUICK_FOLDER = [*QUICK, "--minutes", "None", "--steps", "2", "--networks.width", "4"]


def all_blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of each block, in the order of the page."""
    return re.findall(r"^```([^`\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)


def blocks(page: Path, language: str) -> list[str]:
    return [content for kind, content in all_blocks(page) if kind == language]


def in_spans(page: Path) -> list[str]:
    """The commands that stand in the running text."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    return re.findall(r"`convergan ([^`]+)`", text)


def run(command: str, options: list[str]) -> None:
    try:
        code = main([*shlex.split(command), *options])
    except SystemExit as end:  # after --help
        code = end.code  # type: ignore[assignment]
    assert code == 0, command


def run_line(line: str) -> None:
    """Run a line of a page: a short training or study, a report on bots, a server until it answers."""
    program, command = line.split(" ", 1)
    if program == ".venv/bin/pip":
        require_extra(command)
        return
    assert program == "convergan"
    if command.startswith("study serve"):
        serve(command)
    elif command.startswith("study create"):
        run(command, [] if "--trials" in command else QUICK_STUDY)
    elif command.startswith("study report") and "--simulated" not in command:
        run("study dry-run study.db --participants 2", [])
        run(command, ["--simulated"])
    elif command.startswith("train"):
        run(command, QUICK if command.startswith("train digits") else QUICK_FOLDER)
    else:
        run(command, [])


def require_extra(command: str) -> None:
    """Check that an extra that a page installs exists."""
    match = re.fullmatch(r"install -e '\.\[(\w+)\]'", command)
    assert match is not None, command
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert match[1] in project["optional-dependencies"]


def serve(command: str) -> None:
    """Start a server on a free port, open the preview that it prints, and stop it with Ctrl-C."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [sys.executable, "-m", "convergan", *shlex.split(command), "--port", port]
    with subprocess.Popen([*words, "--workers", "1"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            preview = server.stdout.readline().split()[-1]
            end = time.monotonic() + 60
            while True:
                try:
                    with urlopen(preview, timeout=10) as page:
                        assert page.status == 200 and b"<h1" in page.read()
                    break
                except URLError:
                    assert time.monotonic() < end and server.poll() is None
                    time.sleep(0.05)
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) in (0, 130)


def test_every_command_of_the_readme_is_in_a_block_that_is_run() -> None:
    programs = ("convergan ", "make ", "pip ", ".venv/", "python ")
    texts = [
        text for kind, text in all_blocks(ROOT / "README.md") if kind not in ("bash", "python")
    ]
    assert texts and not any(
        line.startswith(programs) for text in texts for line in text.splitlines()
    )


def test_pages_install_into_the_environment_of_make() -> None:
    environment = re.search(
        r"^VENV := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M
    )[1]  # type: ignore[index]
    for page in PAGES:
        for program in re.findall(r"(\S*)pip install (?!--)", page.read_text(encoding="utf-8")):
            assert program.lstrip("`(") == f"{environment}/bin/", page.name


def demo() -> str:
    """The command of `make demo`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (command,) = re.findall(r"\$\(BIN\)/convergan ([^$\n]+)", makefile)
    return str(command)


def test_the_readmes_commands_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    write_folder(tmp_path / "images", labelled=5, unlabelled=5)
    write_folder(tmp_path / "new-images", labelled=2, seed=1)
    lines = [line for block in blocks(ROOT / "README.md", "bash") for line in block.splitlines()]
    make_lines = [line for line in lines if line.startswith("make ")]
    assert make_lines == ["make demo", "make test"]
    run(demo(), QUICK)
    # What the commands compare with.
    (writer,) = [code for code in blocks(ROOT / "README.md", "python") if 'Path("real")' in code]
    exec(compile(writer, "README.md", "exec"), {})
    for line in lines:
        if line not in make_lines:
            run_line(line)
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 1 + 6
    assert len(list((tmp_path / "samples").iterdir())) == 1000
    assert (tmp_path / "runs" / "demo" / "report.html").exists()
    assert "SIMULATED" in (tmp_path / "report.html").read_text(encoding="utf-8")
    for command in in_spans(ROOT / "README.md"):
        # Commands whose data is not available here show their help instead.
        repeats = command.startswith("train --from")
        options = [*QUICK, "--out", "runs/again"] if repeats else ["--help"]
        run(command, options)


def figures_of_the_demo() -> tuple[str, Results]:
    """The README's output of the demo, and results with the numbers in it."""
    (block,) = [text for text in blocks(ROOT / "README.md", "") if "GAN" in text]
    rows = re.findall(r"^(?:supervised baseline|semi-supervised GAN) +(\d+) +(\d+) ", block, re.M)
    (baseline, size), (errors, _) = [tuple(map(int, numbers)) for numbers in rows]
    return block, results_of(errors, baseline, size, decision="helped", p_value=0.0)


def verdict_text(results: Results) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_verdict(console, results, verdict_sentence(results), "runs/demo/report.html")
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    lines = text.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    return "".join(line.rstrip() + "\n" for line in lines)


def test_the_figures_of_the_demo_hold_together() -> None:
    block, results = figures_of_the_demo()
    assert verdict_text(results) == block
    # The figures differ on another CPU: the README says so, and by how much.
    words = r"depend on the CPU.* baseline made (\d+) to (\d+) errors, the GAN (\d+) to (\d+)\."
    (ranges,) = re.findall(words, README)
    lowest, highest, lowest_gan, highest_gan = map(int, ranges)
    assert lowest <= results.baseline_test_errors <= highest
    assert lowest_gan <= results.test_errors <= highest_gan


@pytest.mark.slow
def test_the_demo_comes_near_its_figures(
    bf16_units: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train in full, with and without bf16 units; the choice of the seed changes the errors more."""
    monkeypatch.chdir(tmp_path)
    run(demo(), [])
    results = read_json(tmp_path / "runs" / "demo" / "results.json")
    assert results["decision"] == "helped" and results["p_value"] < 0.001
    _, stated = figures_of_the_demo()
    for name in ("baseline_test_errors", "test_errors"):
        # Seen so far: 48 to 62, and 12 to 16.
        assert abs(results[name] - getattr(stated, name)) <= 20


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_from_top_to_bottom(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "cache"))
    names: dict[str, object] = {}
    printed = command = ""
    for language, content in all_blocks(page):
        if language == "bash":
            command = content
            for line in content.splitlines():
                run_line(line)
        elif language == "python":
            short = re.sub(r"^steps = \d+", "steps = 3", content, flags=re.M)
            exec(compile(short, page.name, "exec"), names)
        elif language == "" and "convergan train" not in command:
            assert lines_not_printed(content, printed) == []
        printed += capsys.readouterr().out


def snippets() -> list[tuple[str, str]]:
    return [
        (f"{page.name}-{number}", code)
        for page in PAGES
        if page not in TUTORIALS
        for number, code in enumerate(blocks(page, "python"))
    ]


@pytest.mark.usefixtures("registered_terms_are_forgotten", "unchecked_shapes", "empty_charts")
@pytest.mark.parametrize(
    "code", [code for _, code in snippets()], ids=[name for name, _ in snippets()]
)
def test_every_snippet_runs(
    code: str,
    tmp_path: Path,
    trained_run: Path,
    quick_digits: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if "train(" not in code:
        shutil.copytree(trained_run, "runs/mine")
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 4
    names = {
        "images": generator.integers(0, 256, (40, 8, 8), dtype=np.uint8),
        "labels": np.where(np.arange(40) < 30, labels, -1),
        "test_images": generator.integers(0, 256, (8, 8, 8), dtype=np.uint8),
        "test_labels": labels[:8],
    }
    exec(compile(code, "snippet", "exec"), names)


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
