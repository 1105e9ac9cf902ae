"""What a row of a benchmark's results says."""

from rows import command


def test_a_command_names_no_folder_of_its_machine():
    words = ["/home/me/it/benchmarks/x.py", "--data", "/data/mnist", "--out=../there", "--n", "3"]
    assert command(words) == "python benchmarks/x.py --data mnist --out=there --n 3"
    assert (
        command(["benchmarks/x.py", "--runs", "runs/x"]) == "python benchmarks/x.py --runs runs/x"
    )
