"""The weights are found where they are, downloaded where they are not, and never taken for granted."""

import hashlib
import io
from pathlib import Path

import pytest
import torch

from convergan.errors import UserError
from convergan.metrics import inception_weights
from convergan.metrics.inception import InceptionNetwork
from convergan.metrics.inception_weights import NAME, find_weights, load_inception, load_state


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches, ours and torch's."""
    monkeypatch.setenv("CONVERGAN_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def file(
    tmp_path: Path, inception_state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A file of the real format; its checksum is taken for the public one's."""
    path = tmp_path / "some.pth"
    torch.save(inception_state, path)
    monkeypatch.setattr(inception_weights, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


class _Answer(io.BytesIO):
    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.headers = {"Content-Length": str(len(content))}


def test_the_public_name_carries_the_checksums_first_digits() -> None:
    assert f"weights-inception-2015-12-05-{inception_weights.SHA256[:8]}.pth" == NAME


def test_a_file_is_loaded(file: Path, inception_state: dict[str, torch.Tensor]) -> None:
    network = load_inception(file)
    assert torch.equal(network.fc.weight, inception_state["fc.weight"])


def test_caches_are_used_ours_first(caches: Path) -> None:
    torchs = caches / "torch" / "hub" / "checkpoints" / NAME
    for path in (torchs, caches / "ours" / NAME):
        path.parent.mkdir(parents=True)
        path.touch()
        assert find_weights() == path


def test_offline_the_error_names_file_address_and_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception_weights, "ADDRESS", "http://127.0.0.1:9/weights.pth")
    with pytest.raises(UserError) as error:
        load_inception()
    for part in (NAME, "http://127.0.0.1:9/weights.pth", "--weights"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_download_is_checked_and_kept(
    file: Path, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = file.read_bytes()
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(
        inception_weights, "urlopen", lambda address, timeout: _Answer(content[:-1])
    )
    with pytest.raises(UserError, match="expected a file with SHA-256"):
        find_weights()
    assert list((caches / "ours").iterdir()) == []
    monkeypatch.setattr(inception_weights, "urlopen", lambda address, timeout: _Answer(content))
    path = find_weights(progress=lambda done, total: calls.append((done, total)))
    assert path.read_bytes() == content
    assert calls[-1] == (len(content), len(content))


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="expected the weights with SHA-256"):
        load_inception(path)
    with pytest.raises(UserError, match="which is not a file"):
        load_inception(tmp_path / "absent.pth")


@pytest.mark.parametrize("content", [b"", b"hello", b"cos\nsystem\n(S'touch hacked'\ntR."])
def test_nothing_in_a_file_is_executed(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.pth: expected a state dict of tensors"):
        load_state(InceptionNetwork(), path)
    assert not (tmp_path / "hacked").exists()
