"""Data sets of the hub, for which a server of the tests' own stands, with files as `datasets` writes them."""

import os
import re
import shutil
import subprocess
import sys
from io import BytesIO

import datasets
import huggingface_hub
import numpy as np
import pytest

from convergan.data.hub import hub_id
from convergan.data.source import open_data_set
from convergan.errors import UserError
from convergan.recipes.settings import DataSettings
from drawn_images import png_bytes
from hub_server import Hub


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def parquet(labels, *, names=("cat", "dog"), seed=0):
    """A file of one image for each label, as `datasets` writes it."""
    features = {"img": datasets.Image(), "label": datasets.ClassLabel(names=list(names))}
    images = [{"bytes": png_bytes(pixels(seed + row)), "path": None} for row in range(len(labels))]
    rows = datasets.Dataset.from_dict(
        {"img": images, "label": labels}, features=datasets.Features(features)
    )
    file = BytesIO()
    rows.to_parquet(file)
    return file.getvalue()


def card(configs):
    return f"---\nlicense: mit\nconfigs:\n{configs}---\n# A data set\n".encode()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, and a cache of its library that is empty."""
    with Hub() as served:
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        # The library recognizes by this pattern that a refusal is of a data set.
        missing = huggingface_hub.utils._http.REPO_API_REGEX
        pattern = missing.pattern.replace("^https:", "^https?:")
        monkeypatch.setattr(
            huggingface_hub.utils._http, "REPO_API_REGEX", re.compile(pattern, missing.flags)
        )
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield served


def publish(hub, files, name="some/one", branch="main"):
    hub.branches[name, branch] = {".gitattributes": b"*.parquet filter=lfs\n", **files}


@pytest.fixture
def small(hub):
    """A data set in three files."""
    publish(
        hub,
        {
            "README.md": b"# No YAML\n",
            "data/train-00000-of-00002.parquet": parquet([0, 1]),
            "data/train-00001-of-00002.parquet": parquet([1], seed=7),
            "data/test-00000-of-00001.parquet": parquet([1, 0], seed=9),
        },
    )
    return hub


def opened(source="some/one"):
    return open_data_set(DataSettings(source=source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("mnist", ("ylecun/mnist", None)),
        ("cifar10", ("uoft-cs/cifar10", None)),
        ("svhn", ("ufldl-stanford/svhn", "cropped_digits")),
        ("imagenet", ("ILSVRC/imagenet-1k", None)),
        ("some/one", ("some/one", None)),
        ("some/one/large", ("some/one", "large")),
        ("former", ("former", None)),
    ],
)
def test_sources_name_data_sets_and_configurations(source, expected):
    assert hub_id(source) == expected


def test_a_data_set_is_downloaded_and_decoded_once(small, monkeypatch):
    data = opened()
    assert data.source == "some/one"
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1, 1]
    assert data.test.labels.tolist() == [1, 0]
    assert list(data.train.names)[-1] == "data/train-00001-of-00002.parquet row 0"
    for image, seed in zip(data.train.images, (0, 1, 7), strict=True):
        assert (image == pixels(seed)).all()
    monkeypatch.setattr("convergan.data.store_writer.decode_in_order", None)
    small.asked.clear()
    assert opened().fingerprint == data.fingerprint
    assert small.downloaded() == []


def test_its_files_in_a_folder_are_the_same_data(small, tmp_path):
    for path, content in small.branches["some/one", "main"].items():
        (tmp_path / "local" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "local" / path).write_bytes(content)
    folder = open_data_set(DataSettings(path=tmp_path / "local"))
    assert folder.fingerprint == opened().fingerprint


def test_a_new_commit_costs_only_what_it_changes(small, monkeypatch):
    opened()
    files = small.branches["some/one", "main"]
    files["README.md"] = b"# Other words\n"
    small.asked.clear()
    with monkeypatch.context() as patch:
        patch.setattr("convergan.data.store_writer.decode_in_order", None)
        opened()
    assert small.downloaded() == ["README.md"]
    files["data/train-00001-of-00002.parquet"] = parquet([0], seed=8)
    assert opened().train.labels.tolist() == [0, 1, 0]
    assert small.downloaded() == ["README.md", "data/train-00001-of-00002.parquet"]


def test_without_a_network_what_is_there_is_used(small, monkeypatch):
    data = opened()
    small.asked.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert opened().fingerprint == data.fingerprint
    assert small.asked == []
    with pytest.raises(UserError, match=r"cannot load 'ylecun/mnist' .*not all of it.*--data"):
        opened("mnist")


def test_a_list_of_files_that_is_not_kept_is_asked_for(small, tmp_path, monkeypatch):
    data = opened()
    (trees,) = (tmp_path / "hub").glob("*/trees")
    monkeypatch.setattr(huggingface_hub._snapshot_download, "write_tree_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub._tree_cache, "_IN_MEMORY_TREE_CACHE", {})
    shutil.rmtree(trees)
    assert opened().fingerprint == data.fingerprint
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"cannot load 'some/one' .*HF_HUB_OFFLINE"):
        opened()


def test_a_hub_that_is_gone_is_done_without(small):
    data = opened()
    small.__exit__(None, None, None)
    assert opened().fingerprint == data.fingerprint
    with pytest.raises(UserError, match=r"cannot load 'a/b' .*cannot be reached.*--data\.path"):
        opened("a/b")


def test_variables_of_the_hubs_library_count(small, tmp_path):
    code = (
        "from convergan.data.source import open_data_set\n"
        "from convergan.recipes.settings import DataSettings\n"
        "print(open_data_set(DataSettings(source='some/one')).fingerprint)\n"
    )
    variables = {"HF_ENDPOINT": small.address, "HF_HOME": str(tmp_path / "home")}

    def run(**overrides):
        environment = {**os.environ, **variables, **overrides}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    online = run()
    assert online[0].strip() == opened().fingerprint
    # Progress is for terminals.
    assert online[1] == ""
    assert run(HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9") == (online[0], "")


def test_a_download_that_breaks_off_goes_on_where_it_was(small, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 100)
    name = "data/test-00000-of-00001.parquet"
    small.cut.add(name)
    assert opened().test.labels.tolist() == [1, 0]
    received = len(small.branches["some/one", "main"][name]) // 2 // 100 * 100
    assert any(request.endswith(f"{name} bytes={received}-") for request in small.asked)


def test_files_that_have_come_are_kept_when_others_fail(small):
    small.broken.add("data/test-00000-of-00001.parquet")
    with pytest.raises(UserError, match="cannot load 'some/one'"):
        opened()
    small.broken.clear()
    small.asked.clear()
    assert len(opened().train) == 3
    assert "README.md" not in small.downloaded()
    assert "data/test-00000-of-00001.parquet" in small.downloaded()


def test_half_a_download_is_no_data_set_without_a_network(small, monkeypatch):
    small.broken.add("data/train-00001-of-00002.parquet")
    with pytest.raises(UserError, match="cannot load 'some/one'"):
        opened()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"not all of it is in the cache.*HF_HUB_OFFLINE") as caught:
        opened()
    assert "\n" not in str(caught.value)


def test_a_data_set_that_is_not_there(hub):
    with pytest.raises(
        UserError, match=r"cannot load 'no/such' .*no data set has this name.*--data\.path"
    ):
        opened("no/such")


@pytest.mark.parametrize("source", ["a b", "a/b/c/d", "../x", "-x-", "a/b/", "/a/b", "x--y"])
def test_an_id_that_cannot_be_one(hub, source):
    with pytest.raises(UserError, match=r"^data\.source: cannot load .*--data\.path") as caught:
        opened(source)
    assert "\n" not in str(caught.value)
    assert hub.asked == []


def test_a_gated_data_set_needs_a_token(hub, monkeypatch):
    publish(
        hub,
        {
            "data/train-00000.parquet": parquet([0, 1]),
            "data/validation-00000.parquet": parquet([1, 1], seed=3),
            "data/test-00000.parquet": parquet([-1, -1], seed=5),
        },
        name="ILSVRC/imagenet-1k",
    )
    hub.gated.add("ILSVRC/imagenet-1k")
    with pytest.raises(
        UserError,
        match=r"huggingface\.co/datasets/ILSVRC/imagenet-1k, then .*hf auth login.*HF_TOKEN",
    ):
        opened("imagenet")
    monkeypatch.setenv("HF_TOKEN", "let-me-in")
    data = opened("imagenet")
    # Labels of the test images are not published.
    assert list(data.test.names) == [f"data/validation-00000.parquet row {row}" for row in range(2)]


SVHN = {
    f"{configuration}/{split}-00000-of-00001.parquet": parquet([0, 1], seed=seed)
    for seed, (configuration, split) in enumerate(
        [
            ("cropped_digits", "train"), ("cropped_digits", "test"), ("cropped_digits", "extra"),
            ("full_numbers", "train"), ("full_numbers", "test"), ("full_numbers", "extra"),
        ]
    )
}  # fmt: skip

SVHN_CARD = card(
    "".join(
        f"- config_name: {configuration}\n  data_files:\n"
        + "".join(
            f"  - split: {split}\n    path: {configuration}/{split}-*\n"
            for split in ("train", "test", "extra")
        )
        for configuration in ("cropped_digits", "full_numbers")
    )
)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("source", "configuration"),
    [("svhn", "cropped_digits"), ("ufldl-stanford/svhn/full_numbers", "full_numbers")],
)
def test_of_several_configurations_one_is_downloaded(hub, declared, source, configuration):
    publish(hub, {**SVHN, **({"README.md": SVHN_CARD} if declared else {})}, "ufldl-stanford/svhn")
    data = opened(source)
    assert [path for path in hub.downloaded() if path.endswith(".parquet")] == [
        f"{configuration}/{split}-00000-of-00001.parquet" for split in ("test", "train")
    ]
    assert len(data.train) == len(data.test) == 2


@pytest.mark.parametrize(("configuration", "quoted"), [("", "none"), ("/cropped", "'cropped'")])
def test_which_of_several_configurations_is_asked(hub, configuration, quoted):
    publish(hub, {**SVHN, "README.md": SVHN_CARD}, "ufldl-stanford/svhn")
    with pytest.raises(
        UserError,
        match=rf"\(cropped_digits, full_numbers\), as in ufldl-stanford/svhn/cropped_digits, got {quoted}",
    ):
        opened(f"ufldl-stanford/svhn{configuration}")
    assert not any(path.endswith(".parquet") for path in hub.downloaded())


@pytest.mark.parametrize(
    "configs",
    [
        "- config_name: a\n  data_files: x/*.parquet\n",
        "- config_name: a\n  data_files: [x/1.parquet]\n",
        "- config_name: a\n  data_files: {split: train, path: [x/1.parquet]}\n",
        "- config_name: a\n  data_files: [{split: train, path: './x/?.parquet'}]\n",
        "- config_name: a\n  data_files: [{split: train, path: '**/1.parquet'}]\n",
        "- config_name: a\n  data_dir: x\n",
        "- config_name: a\n  data_dir: x\n  data_files: '*'\n",
        "- config_name: b\n  data_dir: y\n- config_name: a\n  data_dir: x\n  default: true\n",
        "- config_name: b\n  data_dir: y\n- config_name: default\n  data_dir: x\n",
    ],
)
def test_cards_name_files_in_several_ways(hub, configs):
    files = {f"{folder}/1.parquet": parquet([0, 1], seed=ord(folder)) for folder in "xy"}
    publish(hub, {**files, "x/deep/1.csv": b"", "README.md": card(configs)})
    data = opened()
    expected = ["y/1.parquet", "x/1.parquet"] if "**" in configs else ["x/1.parquet"]
    assert {name.split()[0] for name in data.train.names} == set(expected)


@pytest.mark.parametrize(
    "configs",
    ["- 1\n", "- {a: b}\n", "- config_name: a\n  data_files: [{path: x}]\n", "- [\n", "  a: b\n",
     "- config_name: a\n  data_files: 7\n", "- config_name: a\n  data_files: [{split: [], path: x}]\n"],
)  # fmt: skip
def test_broken_cards_are_named(hub, configs):
    publish(hub, {"x/1.parquet": parquet([0, 1]), "README.md": card(configs)})
    with pytest.raises(UserError, match=r"^some/one/README\.md: expected the hub's") as caught:
        opened()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["", "partial-"])
def test_what_the_hub_has_converted_is_read(hub, part):
    publish(hub, {"images.zip": b"PK", "README.md": b"---\nlicense: mit\n---\n"})
    converted = {
        f"default/{part}train/0000.parquet": parquet([0, 1]),
        "default/test/0000.parquet": parquet([1], seed=5),
        "default/dev/0000.parquet": b"not used",
    }
    publish(hub, converted, branch="refs/convert/parquet")
    data = opened()
    assert data.train.labels.tolist() == [0, 1]
    assert data.test.labels.tolist() == [1]
    assert [note for note in data.notes if "5 GB" in note] == list(data.notes)
    assert len(data.notes) == bool(part)


@pytest.mark.parametrize("converted", [True, False])
def test_data_sets_without_parquet_files_are_named(hub, converted):
    publish(hub, {"images.zip": b"PK"})
    if converted:
        publish(hub, {}, branch="refs/convert/parquet")
    with pytest.raises(UserError, match=r"'some/one' .*parquet files.*--data\.path"):
        opened()


def test_a_data_set_without_a_training_split_is_named(hub):
    publish(hub, {"data/test-0.parquet": parquet([0])})
    with pytest.raises(UserError, match="'some/one' to have a split named train, got test"):
        opened()
    assert hub.downloaded() == [".gitattributes"]


def test_files_with_characters_of_patterns_are_those_that_are_meant(hub):
    publish(
        hub,
        {"a[1]/train-0.parquet": parquet([0, 1]), "a1/train-0.parquet": parquet([0, 1], seed=3)},
    )
    assert len(opened("some/one/a[1]").train) == 2
    assert hub.downloaded() == [".gitattributes", "a[1]/train-0.parquet"]


def test_class_names_in_another_order_count_by_name(hub):
    files = {
        "train-0.parquet": parquet([0, 1], names=("one", "zero")),
        "test-0.parquet": parquet([0, 1], names=("zero", "one"), seed=5),
    }
    publish(hub, files)
    data = opened()
    assert data.classes == ("one", "zero")
    assert data.test.labels.tolist() == [1, 0]
    files["test-0.parquet"] = parquet([0, 0], names=("zero", "two"), seed=5)
    publish(hub, files)
    with pytest.raises(UserError, match=r"some/one/test-0\.parquet: expected .* got 'two'"):
        opened()


def test_a_broken_file_is_named(hub):
    publish(hub, {"train-0.parquet": b"PAR1 no parquet"})
    with pytest.raises(UserError, match=r"train-0\.parquet: expected a parquet file"):
        opened()
