"""Data sets of the Hugging Face hub, downloaded as parquet files."""

import sys
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convergan.data.encoded_source import Part, Source
from convergan.data.hub_files import (
    Splits,
    chosen_configuration,
    converted_configurations,
    files_by_name,
    files_of_declared,
    read_card,
)
from convergan.data.parquet import SPLITS, open_parquet
from convergan.errors import UserError, first_of, one_line, quoted

if TYPE_CHECKING:
    from huggingface_hub.utils import tqdm

# Short name: (id on the hub, its configuration).
_SHORT_NAMES: dict[str, tuple[str, str | None]] = {
    "mnist": ("ylecun/mnist", None),
    "cifar10": ("uoft-cs/cifar10", None),
    "svhn": ("ufldl-stanford/svhn", "cropped_digits"),
    "imagenet": ("ILSVRC/imagenet-1k", None),
}

_CONVERTED = "refs/convert/parquet"
"""Name of the branch on which the hub keeps data sets of other formats, converted to parquet."""

_SMALL_FILES = ["README.md", ".gitattributes"]
"""Small files whose download creates a commit's folder; the second is in every data set of the hub."""

_ALTERNATIVE = "--data.path takes a folder with its parquet files, or with images"


def hub_id(source: str) -> tuple[str, str | None]:
    """The id and the configuration of a source.

    Args:
        source: a short name, OWNER/NAME, or OWNER/NAME/CONFIGURATION.
    """
    if source in _SHORT_NAMES:
        return _SHORT_NAMES[source]
    owner, name, configuration = source.split("/") if source.count("/") == 2 else ("", "", "")
    return (f"{owner}/{name}", configuration) if configuration else (source, None)


def open_hub(source: str) -> Source:
    """Open a data set of the hub, downloaded into the cache of the hub's library unless it is there.

    The parquet files of the splits `train`, `test` and `validation` are downloaded: those of the data set
    itself, or, if it is kept in another format, those that the hub converted it to. Files in the cache
    are not downloaded again, and without a network they are used as they are.

    Args:
        source: name as for `hub_id`.

    Raises:
        UserError: it cannot be downloaded (no network, no such id, no permission), has several configurations
            and none is chosen, or has no parquet files or no split `train`; or an error of
            `parquet.open_parquet`.
    """
    name, configuration = hub_id(source)
    folder = _download(name, "main", _SMALL_FILES)
    splits, default = _own_splits(name, configuration, folder)
    notes: tuple[str, ...] = ()
    if not splits:
        folder = _download(name, _CONVERTED, _SMALL_FILES)
        splits = _converted_splits(name, configuration or default, folder)
        if any("/partial-" in file for files in splits.values() for file in files):
            notes = (f"The hub converted only the first 5 GB of {name}; these are used.",)
    if "train" not in splits:
        raise UserError(
            f"data.source: expected {quoted(name)} to have a split named train, got"
            f" {first_of(splits) or 'none'}"
        )
    # The commit, not its branch: that may have moved since its files were listed.
    _download(name, folder.name, [escape(file) for files in splits.values() for file in files])
    files = {split: [folder / file for file in splits.get(split, [])] for split in SPLITS}
    opened = open_parquet(folder, files, place=name)
    test = None if opened.test is None else _by_content(opened.test)
    return replace(opened, train=_by_content(opened.train), test=test, notes=opened.notes + notes)


def _own_splits(name: str, configuration: str | None, folder: Path) -> tuple[Splits, str | None]:
    """The parquet files of a data set, none if it has another format; and its default configuration.

    Args:
        name: id on the hub.
        configuration: name of the requested configuration.
        folder: folder of the branch `main`, with README.md.
    """
    names = _names(name, folder)
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    configurations, default = read_card(name, text)
    if configurations:
        selected = chosen_configuration(name, configurations, configuration, default)
        return files_of_declared(name, names, configurations[selected]), selected
    parquet = [file for file in names if file.endswith(".parquet")]
    if parquet and configuration is not None:
        folders = sorted({file.split("/")[0] for file in parquet if "/" in file})
        selected = chosen_configuration(name, folders or ["default"], configuration)
        parquet = [file for file in parquet if file.startswith(f"{selected}/") or not folders]
    return files_by_name(name, parquet), None


def _converted_splits(name: str, configuration: str | None, folder: Path) -> Splits:
    """The files that the hub converted; `folder` is that of their branch."""
    configurations = converted_configurations(_names(name, folder))
    if not configurations:
        raise UserError(
            f"data.source: expected {quoted(name)} to have parquet files on the hub, got none; {_ALTERNATIVE}"
        )
    return configurations[chosen_configuration(name, configurations, configuration)]


def _download(name: str, revision: str, patterns: list[str]) -> Path:
    """Download the files that match, unless they are there, and return the folder of the revision's commit.

    Args:
        name: id on the hub.
        revision: branch or commit.
        patterns: shell patterns of file names.
    """
    from huggingface_hub import snapshot_download

    show_progress = sys.stderr.isatty() and patterns != _SMALL_FILES
    try:
        return Path(
            snapshot_download(
                name,
                repo_type="dataset",
                revision=revision,
                allow_patterns=patterns,
                tqdm_class=None if show_progress else _hidden_bar(),
            )
        )
    except Exception as error:  # of the network, the hub or the disk
        raise _not_loaded(name, error) from error


def _names(name: str, folder: Path) -> list[str]:
    """All files of a commit, downloaded or not: the hub's library keeps a list beside the commit's folder."""
    from huggingface_hub import HfApi, get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    commit = folder.name
    try:
        try:
            tree = get_cached_repo_tree(name, repo_type="dataset", revision=commit)
        except CachedRepoTreeNotFoundError:
            # Another tool filled the cache, or it cannot be written.
            return HfApi().list_repo_files(name, repo_type="dataset", revision=commit)
    except Exception as error:
        raise _not_loaded(name, error) from error
    return [file.path for file in tree]


def _not_loaded(name: str, error: Exception) -> UserError:
    from huggingface_hub.errors import (
        GatedRepoError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        reason = (
            f"its owners grant access on request: ask at https://huggingface.co/datasets/{name},"
            " then log in with `hf auth login` or set HF_TOKEN"
        )
    elif isinstance(error, RepositoryNotFoundError):
        reason = "no data set has this name, or it is private and HF_TOKEN is not set"
    elif isinstance(error, RevisionNotFoundError):
        reason = "it has no parquet files, and the hub has not converted it"
    elif isinstance(error, IncompleteSnapshotError | LocalEntryNotFoundError):
        unreachable = one_line(error.__cause__ or error)
        reason = f"not all of it is in the cache, and the hub cannot be reached: {unreachable}"
    else:
        reason = one_line(error)
    return UserError(
        f"data.source: cannot load {quoted(name)} from the Hugging Face hub ({reason}); {_ALTERNATIVE}"
    )


def _hidden_bar() -> "type[tqdm]":
    """A progress bar that is not shown."""
    from huggingface_hub.utils import tqdm

    class Hidden(tqdm):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **{**settings, "disable": True})

    return Hidden


def _by_content(part: Part) -> Part:
    """The part with links to files replaced by the files themselves.

    The hub's library keeps files by the hash of their content, and a commit's folder links to them: a new
    commit with the same files costs no new decoding.
    """
    return replace(part, files=[file.resolve() for file in part.files])
