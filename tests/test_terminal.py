"""Messages can be shown in every encoding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import convergan.terminal  # noqa: F401  registers the error handler

# Python itself must not help with such a locale.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

TRAIN = """
from pathlib import Path
from dataclasses import replace
from convergan.recipes.presets import PRESETS
from convergan.recipes.networks import MLPSettings
from convergan.training.run import train

networks = MLPSettings(hidden=(20,), generator_hidden=(20,), latent_size=8)
train(replace(PRESETS["digits"], epochs=1, networks=networks), Path("run"))
"""


def test_what_an_encoding_lacks_is_spelled_out() -> None:
    text = (
        "12.4\N{NO-BREAK SPACE}% \N{PLUS-MINUS SIGN} 1 \N{EN DASH} \N{LEFT DOUBLE QUOTATION MARK}"
    )
    assert text.encode("ascii", "convergan.spelled") == b'12.4 % +- 1 - "'
    assert text.encode("latin-1", "convergan.spelled") == b'12.4\xa0% \xb1 1 - "'
    # What has no other spelling, such as a letter of a file's name or a byte that is none.
    assert "ä\udc80\N{SNOWMAN}".encode("ascii", "convergan.spelled") == b"\\xe4\\udc80\\u2603"
    assert text.encode("utf-8", "convergan.spelled").decode() == text


@pytest.mark.parametrize(
    ("variables", "encoding"),
    [
        pytest.param(ASCII, "ascii", id="C"),
        pytest.param(
            {"PYTHONIOENCODING": "iso-8859-9"}, "iso-8859-9", id="Turkish", marks=pytest.mark.slow
        ),
    ],
)
def test_training_from_python_ends_with_its_verdict(
    variables: dict[str, str], encoding: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAIN], cwd=tmp_path, env={**os.environ, **variables},
        capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    output = done.stdout.decode(encoding)
    assert "supervised baseline misclassifies" in output and "report: run" in output
    assert ("\N{NO-BREAK SPACE}%" in output) == (encoding != "ascii")
    assert " %" in output.replace("\N{NO-BREAK SPACE}", " ") and "\\x" not in output
