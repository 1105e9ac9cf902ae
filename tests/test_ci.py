"""`.ci/run` fails before the tests if something that it needs is missing, instead of skipping tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / ".ci" / "run"


def run_with(folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run `.ci/run` with no programs but these, each one line of shell."""
    bash, dirname = shutil.which("bash"), shutil.which("dirname")
    assert bash is not None and dirname is not None
    (folder / "dirname").symlink_to(dirname)
    for name, line in programs.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!{bash}\n{line}\n")
        program.chmod(0o755)
    environment = {"PATH": str(folder)}
    return subprocess.run([bash, RUN], env=environment, capture_output=True, text=True, timeout=240)


MAKE = (
    'echo "make $1 $CONVERGAN_REQUIRE_BROWSER $CONVERGAN_REQUIRE_POSTGRESQL $CONVERGAN_REQUIRE_R"'
)


@pytest.mark.parametrize(
    ("apt_get", "reason"),
    [
        (None, "there is no apt-get to install it with"),
        ("exit 100", "apt-get could not install it"),
        # It says that all went well, and there is still no browser.
        ("exit 0", "apt-get could not install it"),
    ],
)
def test_without_a_browser_it_fails_and_says_what_to_install(
    tmp_path: Path, apt_get: str | None, reason: str
) -> None:
    programs = {} if apt_get is None else {"apt_get": apt_get}
    ran = run_with(tmp_path, initdb=":", Rscript=":", make=MAKE, **programs)
    assert ran.returncode == 1 and ran.stdout == ""
    assert (
        ran.stderr
        == f".ci/run: chromium is missing, and {reason}: install chromium, and run this again\n"
    )


def test_an_r_without_its_package_is_not_enough(tmp_path: Path) -> None:
    ran = run_with(tmp_path, chromium=":", initdb=":", Rscript="exit 1", make=MAKE)
    assert ran.returncode == 1 and "r-cran-lme4 is missing" in ran.stderr


def test_with_everything_there_the_tests_may_skip_nothing(tmp_path: Path) -> None:
    ran = run_with(tmp_path, chromium=":", initdb=":", Rscript=":", make=MAKE)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "make test 1 1 1\nmake docs 1 1 1\n"


def test_what_is_missing_is_installed(tmp_path: Path) -> None:
    browser, chmod = tmp_path / "chromium", shutil.which("chmod")
    install = f'[ "$1" = update ] || {{ : > "{browser}"; {chmod} +x "{browser}"; }}'
    ran = run_with(tmp_path, initdb=":", Rscript=":", make=MAKE, apt_get=install)
    assert (ran.returncode, ran.stdout.count("make ")) == (0, 2), ran.stderr
