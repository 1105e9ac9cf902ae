"""results.json: its keys in their order, what is read from it, and what is refused by name."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from convergan.errors import UserError
from convergan.json_files import read_json, write_json
from convergan.runs.results import (
    ArmComparison,
    ArmResult,
    RateInterval,
    Results,
    read_results,
    write_results,
)
from support import results_of

FIXTURES = Path(__file__).parents[1] / "fixtures" / "0.1.0"

KEYS = [
    "recipe", "labels", "seed", "epochs", "epoch_chosen", "folds", "test_errors", "test_error_rate",
    "test_interval", "baseline_test_errors", "baseline_test_error_rate", "baseline_test_interval",
    "test_size", "decision", "p_value", "train_seconds", "seconds_per_epoch", "device", "precision",
    "versions", "git_commit",
]  # fmt: skip
"""Keys that users' programs find in the file, in this order."""


ARM_KEYS = ["arms", "saved_arm", "comparisons", "interval_method", "tested_on_held_out"]
"""Keys of runs with arms, before those of the training's time."""


def test_a_run_with_arms_has_their_keys_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    arms = tuple(
        ArmResult(
            name=name,
            test_errors=errors,
            test_error_rate=errors / 500,
            interval=RateInterval(0.0, 0.25),
            minutes=1.5,
            steps=70,
            held_out_errors=1,
            held_out_size=20,
            p_value=None if name == "composed" else 0.25,
        )
        for name, errors in (("composed", 13), ("baseline", 34))
    )
    pair = ArmComparison(
        first="composed", second="baseline", only_first_wrong=2, only_second_wrong=23, p_value=0.25
    )
    results = replace(
        results_of(13, 34),
        arms=arms,
        saved_arm="composed",
        comparisons=(pair,),
        interval_method="Wilson, 95 %",
    )
    path = tmp_path / "results.json"
    write_results(path, results)
    content = read_json(path)
    place = KEYS.index("train_seconds")
    assert list(content) == [*KEYS[:place], *ARM_KEYS, *KEYS[place:]]
    assert content["arms"][0]["name"] == "composed"
    assert {"name", "test_errors", "test_error_rate", "interval", "minutes"} <= set(
        content["arms"][0]
    )
    assert read_results(path) == results
    assert results.p_value_between("baseline", "composed") == 0.25


def test_a_run_has_these_keys_in_this_order(trained_run: Path) -> None:
    assert list(read_json(trained_run / "results.json")) == KEYS
    optional = {*ARM_KEYS, "members"}
    names = [field.name for field in fields(Results) if field.name not in optional]
    assert names == KEYS


def test_the_file_to_the_letter(tmp_path: Path) -> None:
    results = results_of(13, 34, p_value=0.0008, decision="helped", git_commit="abc")
    results = replace(
        results,
        test_interval=RateInterval(0.0, 0.25),
        baseline_test_interval=RateInterval(0.5, 1.0),
    )
    write_results(tmp_path / "results.json", results)
    assert (tmp_path / "results.json").read_text().splitlines() == [
        "{",
        '  "recipe": "digits",',
        '  "labels": 100,',
        '  "seed": 0,',
        '  "epochs": 2,',
        '  "epoch_chosen": 2,',
        '  "folds": 0,',
        '  "test_errors": 13,',
        '  "test_error_rate": 0.026,',
        '  "test_interval": [0.0,0.25],',
        '  "baseline_test_errors": 34,',
        '  "baseline_test_error_rate": 0.068,',
        '  "baseline_test_interval": [0.5,1.0],',
        '  "test_size": 500,',
        '  "decision": "helped",',
        '  "p_value": 0.0008,',
        '  "train_seconds": 3.5,',
        '  "seconds_per_epoch": 1.75,',
        '  "device": "cpu, 1 thread",',
        '  "precision": "32-true",',
        '  "versions": {',
        '    "python": "3.11"',
        "  },",
        '  "git_commit": "abc"',
        "}",
    ]


def test_what_was_not_tested_is_absent_and_what_was_not_compared_is_null(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path, results_of())
    test_keys = set(KEYS[KEYS.index("folds") : KEYS.index("train_seconds")])
    assert list(read_json(path)) == [key for key in KEYS if key not in test_keys]
    write_results(path, results_of(13))
    values = read_json(path)
    assert list(values) == KEYS
    assert {key for key, value in values.items() if value is None} == {
        "baseline_test_errors", "baseline_test_error_rate", "baseline_test_interval", "decision",
        "p_value", "git_commit",
    }  # fmt: skip


@pytest.mark.parametrize(
    "results",
    [results_of(), results_of(13), results_of(13, 34), results_of(3, 4, 24, folds=4)],
    ids=["no labels", "no baseline", "baseline", "folds"],
)
def test_what_is_written_is_read(results: Results, tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results


def test_the_rates_of_a_run() -> None:
    results = results_of(13, 34)
    assert results.test is not None and results.baseline_test is not None
    assert (results.test.errors, results.test.size, results.test.rate) == (13, 500, 0.026)
    assert results.test.interval == results.test_interval
    assert results.baseline_test.errors == 34
    assert results_of().test is None and results_of(13).baseline_test is None


@pytest.mark.parametrize("run", ["digits", "folder", "imagenet", "minibatch"])
def test_a_run_of_an_earlier_version_is_read(run: str, tmp_path: Path) -> None:
    path = FIXTURES / run / "finished" / "results.json"
    results = read_results(path)
    assert json.loads(json.dumps(results.as_json())) == read_json(path)
    write_results(tmp_path / "results.json", results)
    assert read_json(tmp_path / "results.json") == read_json(path)


def test_keys_of_other_versions_do_not_matter(tmp_path: Path) -> None:
    path, content = tmp_path / "results.json", results_of(13, 34).as_json()
    write_json(path, {**content, "ensemble": [{"name": "consistency"}]})
    assert read_results(path) == results_of(13, 34)
    later = ("epoch_chosen", "folds", "versions", "git_commit")
    write_json(path, {key: value for key, value in content.items() if key not in later})
    past = read_results(path)
    assert (past.epoch_chosen, past.folds, past.versions, past.git_commit) == (None, 0, {}, None)
    assert past.test == results_of(13, 34).test


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("test_errors", "seven"),
        ("test_errors", -1),
        ("test_size", 0),
        ("baseline_test_error_rate", 1.5),
        ("test_interval", [0.1]),
        ("test_interval", [0.1, 0.2, 0.3]),
        ("decision", "perhaps"),
        ("decision", None),
        ("p_value", None),
        ("test_error_rate", None),
        ("labels", 3.5),
        ("labels", None),
        ("train_seconds", None),
        ("versions", ["1"]),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(
    key: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    write_json(path, {**results_of(13, 34).as_json(), key: value})
    with pytest.raises(
        UserError, match=rf"^{path}: expected the results of a run, got .* \({key}.*\)$"
    ):
        read_results(path)


@pytest.mark.parametrize(
    "key",
    ["labels", "device", "test_errors", "test_size", "test_error_rate", "baseline_test_interval"],
)
def test_a_missing_value_is_refused_by_name(key: str, tmp_path: Path) -> None:
    path, values = tmp_path / "results.json", results_of(13, 34).as_json()
    del values[key]
    write_json(path, values)
    with pytest.raises(UserError, match=rf"^{path}: .* \({key}: Field required\)$"):
        read_results(path)
