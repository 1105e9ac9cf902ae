"""Data sets of the Hugging Face hub, downloaded by its library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convergan.data.parquet import Table, open_tables
from convergan.data.undecoded import Source
from convergan.errors import UserError, first_of, one_line, quoted, reading

# Short name: (id on the hub, its configuration).
_SHORT_NAMES: dict[str, tuple[str, str | None]] = {
    "mnist": ("ylecun/mnist", None),
    "cifar10": ("uoft-cs/cifar10", None),
    "svhn": ("ufldl-stanford/svhn", "cropped_digits"),
    "imagenet": ("ILSVRC/imagenet-1k", None),
}


def hub_id(source: str) -> tuple[str, str | None]:
    """The id and the configuration that a short name stands for; any other source is an id itself."""
    return _SHORT_NAMES.get(source, (source, None))


def open_hub(source: str) -> Source:
    """A data set of the hub, downloaded into the library's own cache where it is not there yet.

    Raises:
        UserError: it cannot be loaded (no network, no such id, no permission), has no split `train`, or
            what `parquet.open_tables` raises.
    """
    from datasets import DatasetDict, load_dataset

    name, configuration = hub_id(source)
    try:
        splits = load_dataset(name, configuration)
    except Exception as error:  # of many kinds: of the network, the hub, the data's own format
        raise UserError(
            f"data.source: cannot load {quoted(name)} from the Hugging Face hub ({one_line(error)});"
            " --data.path takes a folder with its parquet files, or with images"
        ) from error
    if not isinstance(splits, DatasetDict) or "train" not in splits:
        got = first_of(splits) if isinstance(splits, DatasetDict) else "none"
        raise UserError(
            f"data.source: expected {quoted(name)} to have a split named train, got {got}"
        )
    wanted = [split for split in ("train", "test", "validation") if split in splits]
    return open_tables(name, {split: [_table(name, split, splits[split])] for split in wanted})


def _table(name: str, split: str, rows: Any) -> Table:
    """`rows`: a `datasets.Dataset`."""

    def batches(column: str, count: int) -> Iterator[list[Any]]:
        with reading(f"{name}/{split}", "a data set of the Hugging Face hub"):
            # The Arrow format hands out the encoded images; any other one decodes them.
            for batch in rows.select_columns([column]).with_format("arrow").iter(count):
                yield batch.column(0).to_pylist()

    return Table(
        name=f"{split} row",
        rows=len(rows),
        columns=rows.column_names,
        features=rows.features.to_dict(),
        files=[Path(each["filename"]) for each in rows.cache_files],
        paths_within=None,
        batches=batches,
    )
