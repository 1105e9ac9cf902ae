import csv
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from convergan.errors import UserError
from convergan.study.analysis.analyse import analyse
from convergan.study.analysis.rates import Rates, rates_of
from convergan.study.analysis.votes import Votes
from convergan.study.import_export.votes_import import (
    import_votes,
    read_collected,
    read_scores,
    write_collected,
)
from harness.simulated_votes import simulated_votes

HEADER = "participant,image,generated,answered_generated"


def file(folder: Path, *lines: str, name: str = "votes.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def assert_equal(first: Votes | Rates, second: Votes | Rates) -> None:
    assert type(first) is type(second)
    for field in fields(first):
        first_column, second_column = getattr(first, field.name), getattr(second, field.name)
        if first_column is None:
            assert second_column is None, field.name
            continue
        assert first_column.dtype.kind == second_column.dtype.kind, field.name
        np.testing.assert_array_equal(first_column, second_column, field.name)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    votes = simulated_votes(
        np.random.default_rng(0), {"a, with comma": 0.7, 'b "quoted"': 0.8}, participants=3
    )
    votes.response_seconds[::7] = np.nan
    votes.exposure_ms[::3] = 510
    path = tmp_path / f"votes.{suffix}"
    write_collected(path, votes)
    assert_equal(read_collected(path), votes)
    rates = rates_of(votes.chosen(votes.generated | (votes.arm != "a, with comma")))
    complete = rates.chosen(~np.isnan(rates.error_on_real))
    for seconds in (None, np.where(np.arange(len(complete)) == 1, np.nan, 1.25)):
        timed = replace(complete, response_seconds=seconds)
        write_collected(path, timed)
        assert_equal(read_collected(path), timed)


def test_what_may_be_missing(tmp_path: Path) -> None:
    path = file(
        tmp_path, HEADER, "007,g1,generated,real", "008,g1,fake,1", "007,r1,0,TRUE", "", "007,r2,no,yes"
    )  # fmt: skip
    votes = read_collected(path)
    assert isinstance(votes, Votes)
    assert votes.participant.tolist() == ["007", "008", "007", "007"], "no numbers"
    assert votes.trial.tolist() == [1, 1, 2, 3], "in the order of the file"
    assert votes.generated.tolist() == [True, True, False, False]
    assert votes.answered_generated.tolist() == [False, True, True, True]
    assert set(votes.arm) == set(votes.images) == {"all"}
    assert np.isnan(votes.response_seconds).all() and not votes.feedback.any()
    assert np.isnan(votes.exposure_ms).all()


def test_controls_are_obvious_fakes(tmp_path: Path) -> None:
    header = f"{HEADER},control,shown_ms,frame_ms"
    path = file(tmp_path, header, "1,g,1,1,0,300,16.7", "1,c,1,0,1,,", "1,r,0,0,0,310,")
    votes = read_collected(path)
    assert isinstance(votes, Votes)
    assert votes.control.tolist() == [False, True, False]
    assert votes.shown_ms[[0, 2]].tolist() == [300, 310] and np.isnan(votes.shown_ms[1])
    assert votes.frame_ms[0] == 16.7 and np.isnan(votes.frame_ms[1:]).all()
    assert rates_of(votes).generated_trials.tolist() == [1]
    real = file(tmp_path, header, "1,g,1,1,0,,", "1,r,0,0,1,,")
    with pytest.raises(UserError, match=r"votes\.csv row 2: expected a control to be generated"):
        read_collected(real)
    mixed = file(tmp_path, header, "1,g,1,1,0,,", "2,g,1,1,1,,")
    with pytest.raises(UserError, match="expected every image a control or none"):
        read_collected(mixed)


def test_other_names_of_columns(tmp_path: Path) -> None:
    path = file(tmp_path, "worker,file,is_fake,said_fake,model", "w1,a,1,0,GAN")
    out = tmp_path / "out.parquet"
    names = ["participant=worker", "image=file", "generated=is_fake"]
    summary = import_votes(path, out, [*names, "answered_generated=said_fake", "arm=model"])
    assert summary == f"{out}: 1 votes of 1 participants in 1 arm"
    votes = read_collected(out)
    assert isinstance(votes, Votes)
    assert (votes.participant[0], votes.arm[0], votes.images[0]) == ("w1", "GAN", "GAN")
    with pytest.raises(UserError, match=r"columns: expected NAME=NAME_IN_FILE.* got image=nothing"):
        import_votes(path, out, ["image=nothing"], overwrite=True)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheets_separate_columns_by_commas_semicolons_or_tabs(
    tmp_path: Path, separator: str
) -> None:
    """Spreadsheets write semicolons where numbers have a decimal comma, as in most of Europe."""
    decimal = "," if separator == ";" else "."
    rows = [
        ["participant", "image", "generated", "answered_generated", "response_seconds", "trial"],
        ["p", '"a, b; c\td"', "1", "0", f"1{decimal}25", "2"],
        ["q", "1,5", "0", "0", "3", f"1{decimal}0"],
    ]
    if separator == ",":
        rows[2][1] = '"1,5"'
    text = "\r\n".join(separator.join(row) for row in rows)
    (tmp_path / "votes.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    votes = read_collected(tmp_path / "votes.csv")
    assert isinstance(votes, Votes)
    assert votes.image.tolist() == ["a, b; c\td", "1,5"]
    assert votes.response_seconds.tolist() == [1.25, 3] and votes.trial.tolist() == [2, 1]
    assert votes.generated.tolist() == [True, False]
    summary = import_votes(tmp_path / "votes.csv", tmp_path / "out.csv")
    assert "2 votes of 2 participants" in summary
    assert_equal(read_collected(tmp_path / "out.csv"), votes)


def test_numbers_have_a_decimal_comma_only_where_semicolons_separate(tmp_path: Path) -> None:
    """Elsewhere it may separate thousands."""
    for separator in (",", "\t"):
        line = separator.join(["p", "a", "1", "0", '"1,250"'])
        path = file(tmp_path, f"{HEADER},response_seconds".replace(",", separator), line)
        with pytest.raises(
            UserError, match="expected a number from 0 in response_seconds, got '1,2"
        ):
            read_collected(path)
    scores = file(tmp_path, "image;score", "a;1,5", "b;-2")
    assert read_scores(scores, "image") == {"a": 1.5, "b": -2}
    with pytest.raises(UserError, match=r"got '1\.250,5'"):
        read_scores(file(tmp_path, "image;score", "a;1.250,5"), "image")
    with pytest.raises(UserError, match="expected 4 fields as in the header, got 5"):
        read_collected(file(tmp_path, HEADER.replace(",", ";"), "p;a;1;0;2"))


def test_parquet_of_numbers_and_truths(tmp_path: Path) -> None:
    table = pa.table(
        {
            "participant": [1, 2],
            "image": ["a", "b"],
            "generated": [True, False],
            "answered_generated": pa.array([1, 0], pa.int8()),
            "response_seconds": [1.25, None],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "votes.parquet")
    votes = read_collected(tmp_path / "votes.parquet")
    assert isinstance(votes, Votes)
    assert votes.participant.tolist() == ["1", "2"] and votes.generated.tolist() == [True, False]
    np.testing.assert_array_equal(votes.response_seconds, [1.25, np.nan])


def test_rates_alone_say_what_they_cannot_tell(tmp_path: Path) -> None:
    path = file(
        tmp_path, "participant,arm,error_on_generated,error_on_real", "p,GAN,0.25,.5", "q,GAN,0,1"
    )
    lines = import_votes(path, tmp_path / "out.csv").splitlines()
    assert lines[0].endswith("error rates of 2 participants in 1 arm")
    missing = [line.removeprefix("not available: ") for line in lines[1:]]
    assert "learning curve (needs single votes)" in missing
    assert "Krippendorff's alpha (needs single votes)" in missing
    assert "d' and criterion (needs the number of each participant's trials)" in missing
    with_trials = file(
        tmp_path,
        "participant,error_on_generated,error_on_real,generated_trials,real_trials",
        "p,0.25,.5,20,20",
    )
    lines = import_votes(with_trials, tmp_path / "out.csv", overwrite=True).splitlines()
    assert not any("d'" in line for line in lines) and any("learning" in line for line in lines)


def test_response_times_of_rates(tmp_path: Path) -> None:
    """The file of dgm-eval has each participant's sum, in seconds."""
    header = "id,model,num_correct,err_rt,f_err_rt,r_err_rt"
    lines = ["p,GAN,150,.25,.3,.2", "q,GAN,100,.5,.5,.5", "r,GAN,0,1,1,1"]
    untimed = file(tmp_path, header, *lines)
    assert "response times (needs" in import_votes(untimed, tmp_path / "out.csv")
    path = file(
        tmp_path, f"{header},resp_time", *map(",".join, zip(lines, ("300", "", "90"), strict=True))
    )
    rates = read_collected(path)
    assert isinstance(rates, Rates) and rates.response_seconds is not None
    np.testing.assert_array_equal(rates.response_seconds, [1.5, np.nan, np.nan])
    summary = import_votes(path, tmp_path / "out.csv", overwrite=True)
    assert "response times" not in summary and "learning curve" in summary
    assert_equal(read_collected(tmp_path / "out.csv"), rates)
    findings = analyse(rates)
    assert findings.arms[0].response_seconds == 1.5 and "response times" not in findings.unavailable
    second = replace(rates, response_seconds=np.array([1.5, 3.5, np.nan]))
    assert analyse(second).arms[0].response_seconds == 2.5
    unknown = replace(rates, response_seconds=np.full(3, np.nan))
    assert analyse(unknown).arms[0].response_seconds is None
    assert "response times" in analyse(unknown).unavailable


REAL = Path(__file__).parents[4] / "shared" / "data" / "human-votes" / "cifar10.csv"


def test_real_participants_of_thirteen_models() -> None:
    """328 people, 200 images each, half of them generated (layer6ai-labs/dgm-eval)."""
    if not REAL.exists():
        pytest.skip("no ../shared/data/human-votes/cifar10.csv on this machine")
    rates = read_collected(REAL)
    assert isinstance(rates, Rates) and len(rates) == 328
    assert set(rates.generated_trials) == set(rates.real_trials) == {100}
    assert rates.response_seconds is not None
    assert np.median(rates.response_seconds) == pytest.approx(209.325 / 200)
    with REAL.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for model in {row["model"] for row in rows}:
        own, model_rates = (
            [row for row in rows if row["model"] == model],
            rates.chosen(rates.arm == model),
        )
        for column, errors in (
            ("err_rt", 1 - model_rates.accuracy),
            ("f_err_rt", model_rates.error_on_generated),
            ("r_err_rt", model_rates.error_on_real),
        ):
            expected = sum(float(row[column]) for row in own) / len(own)
            assert errors.mean() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, "p,a,1,maybe"], r"votes\.csv row 1: expected true or false.* got 'maybe'"),
        ([HEADER, ",a,1,0"], "row 1: expected some text in participant, got ''"),
        ([HEADER, "p,a,1,0", "q,a,0,0"], "row 2: expected every image generated or real, got a with"),
        ([HEADER + ",trial", "p,a,1,0,2", "p,b,1,0,2"], "row 2: expected each trial .* got p, 2 again"),
        ([HEADER + ",trial", "p,a,1,0,0"], "row 1: expected a whole number from 1 in trial, got '0'"),
        ([HEADER + ",arm", "p,a,1,0,x", "p,b,1,0,y"], "row 2: expected every participant in one arm"),
        (
            [HEADER + ",arm,images", "p,a,1,0,x,s", "q,b,1,0,x,t"],
            "row 2: expected one set of images in every arm, got x with t and with s",
        ),
        ([HEADER + ",response_seconds", "p,a,1,0,-1"], "row 1: expected a number from 0 in response"),
        ([HEADER + ",exposure_ms", "p,a,1,0,soon"], "row 1: expected a number from 0 in exposure_ms"),
        ([HEADER, "p,a,1"], r"votes\.csv line 2: expected 4 fields as in the header, got 3"),
        ([HEADER + ",image", "p,a,1,0,b"], "expected each column once, got image again"),
        (["participant,answered_generated", "p,1"], "got no image, generated"),
        (["name,score", "p,1"], "expected the columns participant, image.* got name, score"),
        (
            ["participant,error_on_generated,error_on_real", "p,0.2,1.2"],
            "row 1: expected a number from 0 to 1 in error_on_real, got '1.2'",
        ),
        (
            ["participant,error_on_generated,error_on_real", "p,0.2,.2", "p,0.2,.2"],
            "row 2: expected each participant once, got p again",
        ),
        (["participant,error_on_generated,error_on_real", "p,nan,.2"], "got 'nan'"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_collected(file(tmp_path, *lines))


def test_files_of_other_kinds(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"votes\.txt: expected a file named \*\.csv or \*\.parquet"
    ):
        read_collected(file(tmp_path, HEADER, name="votes.txt"))
    with pytest.raises(UserError, match=r"votes\.parquet: expected a Parquet file"):
        read_collected(file(tmp_path, HEADER, name="votes.parquet"))
    (tmp_path / "latin.csv").write_bytes("participant\nJos\xe9\n".encode("latin-1"))
    with pytest.raises(
        UserError,
        match=r"latin\.csv: expected values separated by commas, semicolons or tabs, in UTF-8",
    ):
        read_collected(tmp_path / "latin.csv")
    with pytest.raises(FileNotFoundError):
        read_collected(tmp_path / "absent.csv")


def test_scores(tmp_path: Path) -> None:
    path = file(tmp_path, "image,score", "a,1.5", "b,-2e3")
    assert read_scores(path, "image") == {"a": 1.5, "b": -2000}
    with pytest.raises(UserError, match="got no images"):
        read_scores(path, "images")
    with pytest.raises(UserError, match="row 2: expected a number in score, got 'high'"):
        read_scores(file(tmp_path, "image,score", "a,1", "b,high"), "image")
    with pytest.raises(UserError, match="row 2: expected one score for each image, got a again"):
        read_scores(file(tmp_path, "image,score", "a,1", "a,2"), "image")


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "lines",
    [
        [f"{LONG},{LONG}", "a,b"],
        ["participant,image,generated,answered_generated", f"a,b,{LONG},1"],
        ["participant,image,generated,answered_generated,trial", *2 * [f"{LONG},b,1,1,1"]],
        ["participant,image,generated,answered_generated", f"a,{LONG},1,1", f"a,{LONG},0,1"],
        [f"{LONG},{LONG}", "a,b"],
        ["participant,image,generated,answered_generated,arm", f"a,b,1,1,{LONG}", "a,c,1,1,x"],
    ],
)
def test_a_long_cell_is_not_quoted_as_a_whole(tmp_path: Path, lines: list[str]) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("\n".join(lines))
    with pytest.raises(UserError) as caught:
        read_collected(file)
    assert len(str(caught.value)) < 1000
    with pytest.raises(UserError) as caught:
        read_collected(file, [LONG])
    assert len(str(caught.value)) < 1000
