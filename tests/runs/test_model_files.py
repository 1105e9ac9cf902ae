"""Models are quick to load."""

import subprocess
import sys
from pathlib import Path


def test_a_model_is_loaded_without_torch_s_compiler(trained_run: Path) -> None:
    """The compiler takes a second to load, and only weights drawn without memory need it."""
    code = (
        "import sys; from pathlib import Path; from convergan.runs.model import load_classifier\n"
        f"load_classifier(Path({str(trained_run)!r})); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
