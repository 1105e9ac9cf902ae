"""The package as people install it: a wheel, away from the checkout."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import zipfile
from http.client import HTTPException
from pathlib import Path

import pytest

from drawn_images import write_folder
from visitor import Visitor

ROOT = Path(__file__).parents[1]
DIGITS = Path(__file__).parent / "fixtures" / "0.1.0" / "digits-new"

QUICK = [
    "--epochs", "2", "--labels", "50", "--networks.hidden", "20", "16",
    "--networks.generator-hidden", "16", "--networks.latent-size", "8",
]  # fmt: skip

# One process for all commands: torch takes seconds to load. Run with the folder to work in.
USE_IT = """
import json, sys
from pathlib import Path
from convergan.cli import main

for words in json.loads(sys.argv[1]):
    code = main(words)
    if code:
        sys.exit(f"{words}: {code}")
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
Path("modules.json").write_text(json.dumps(files), encoding="utf-8")
"""


def environment() -> dict[str, str]:
    """Environment variables that tell a process nothing of the checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run(*words: object, cwd: Path, timeout: float = 120) -> str:
    """The output of a command, which must succeed."""
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=environment(), capture_output=True, text=True,
        timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy, so that nothing is left in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignored)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    run(sys.executable, "-c", build, out, cwd=source)
    (built,) = out.iterdir()
    return built


def installed(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment with the wheel, and with what it needs from the tests' own."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    install = ["install", "--quiet", "--no-index", "--no-deps", wheel]
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=folder.parent)
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", purelib, cwd=folder.parent).strip())
    # Its files of paths are not read, so that a checkout that is installed there stays out.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def use(python: Path, folder: Path) -> dict[str, str]:
    """Train, predicts, samples, make a study and opens it; return the files of all modules imported."""
    shutil.copytree(DIGITS, folder / "digits")
    write_folder(folder / "real", labelled=4)
    write_folder(folder / "generated", labelled=4, seed=1)
    commands = [
        ["train", "digits", *QUICK, "--out", "run"],
        ["predict", "run", "digits", "--out", "predictions.csv"],
        ["sample", "run", "--count", "20", "--out", "samples"],
        ["study", "create", "--real", "real", "--generated", "generated", "--trials", "4",
         "--practice", "0", "--checks", "0"],
        ["study", "dry-run", "study.db", "--participants", "3"],
        ["study", "report", "study.db", "--simulated", "--out", "study.html"],
        ["study", "export", "study.db", "--simulated", "--out", "export"],
    ]  # fmt: skip
    run(python, "-c", USE_IT, json.dumps(commands), cwd=folder, timeout=600)
    results = json.loads((folder / "run" / "results.json").read_text())
    assert results["test_size"] == 500 and results["git_commit"] is None
    assert "<svg" in (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert len((folder / "predictions.csv").read_text().splitlines()) == 1 + len(os.listdir(DIGITS))
    assert len(os.listdir(folder / "samples")) == 20
    assert "SIMULATED" in (folder / "study.html").read_text(encoding="utf-8")
    assert (folder / "export" / "mixed_model.R").is_file()
    open_in_a_browser(python, folder)
    files: dict[str, str] = json.loads((folder / "modules.json").read_text())
    return files


def open_in_a_browser(python: Path, folder: Path) -> None:
    """Serve the study by the installed program, and fetch its first page and what that refers to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = python.parent / "convergan"
    words = [program, "study", "serve", "study.db", "--port", port, "--workers", "1"]
    server = subprocess.Popen(
        list(map(str, words)), cwd=folder, env=environment(), stdout=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 120
        while True:
            visitor = Visitor(f"127.0.0.1:{port}")
            try:
                page = visitor.get("/")
                break
            except (OSError, HTTPException):
                assert time.monotonic() < end and server.poll() is None
                time.sleep(0.05)
        assert page.status == 200
        parts = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
        assert parts
        for part in parts:
            assert visitor.get(part).status == 200
    finally:
        server.kill()
        server.wait()


def test_everything_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("convergan/")}
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "convergan").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == expected


def test_the_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    python = installed(wheel, tmp_path / "environment")
    assert "convergan 0." in run(python.parent / "convergan", "--version", cwd=tmp_path)
    files = use(python, tmp_path)
    modules = {name: file for name, file in files.items() if name.split(".")[0] == "convergan"}
    assert len(modules) > 100
    assert all(Path(file).is_relative_to(tmp_path / "environment") for file in modules.values())
    # The tests' own environment may be in the checkout; nothing else may be used from there.
    site_packages = Path(sysconfig.get_path("purelib"))
    strays = [
        file
        for file in files.values()
        if Path(file).is_relative_to(ROOT) and not Path(file).is_relative_to(site_packages)
    ]
    assert strays == []


def find_python(version: str) -> Path:
    """An interpreter of this version: the tests' own, one on the path, or one of pyenv's; skips if none."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
    for python in filter(None, candidates):
        # pyenv has a file on the path for every version that it has installed or ever had.
        works = subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True)
        if works.returncode == 0:
            return Path(python)
    pytest.skip(f"no Python {version} on this machine, on the path or in {pyenv}")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_the_wheel_installs_into_an_empty_environment(
    version: str, wheel: Path, tmp_path: Path
) -> None:
    """Install dependencies from the package index: gigabytes if that has torch for CUDA alone."""
    run(find_python(version), "-m", "venv", tmp_path / "environment", cwd=tmp_path)
    python = tmp_path / "environment" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    install = [python, "-m", "pip", "install", "--quiet", "-c", constraints, f"{wheel}[study]"]
    run(*install, cwd=tmp_path, timeout=3600)
    files = use(python, tmp_path)
    folders = (tmp_path / "environment", *map(Path, sys_paths(python, tmp_path)))
    # Some of torch's modules have names of files that are nowhere.
    for file in filter(os.path.isabs, files.values()):
        assert any(Path(file).is_relative_to(folder) for folder in folders)


def sys_paths(python: Path, folder: Path) -> list[str]:
    """The folders of an interpreter's own modules."""
    code = "import sysconfig; print(sysconfig.get_path('stdlib'), sysconfig.get_path('platstdlib'))"
    return run(python, "-c", code, cwd=folder).split()
