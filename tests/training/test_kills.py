"""Many kills at random moments; `tests/kills.py` takes any number of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kills

KILLS = 50


@pytest.mark.slow
def test_whenever_a_run_is_killed_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    # A process of its own, as one that has trained cannot be forked.
    done = subprocess.run(
        [sys.executable, kills.__file__, str(KILLS), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["killed"] == KILLS
    assert counts["equal"] == counts["finished"] > 0
