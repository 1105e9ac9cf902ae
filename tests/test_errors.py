import pytest

from convergan.errors import UserError, one_line, printable, reading


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer, 馬, 12\N{NO-BREAK SPACE}%", "plain, größer, 馬, 12\N{NO-BREAK SPACE}%"),
        ("a\nb\x1b]0;owned\x07", r"a\nb\x1b]0;owned\x07"),
        ("cat\udcff", r"cat\udcff"),
        ("gpj.\N{RIGHT-TO-LEFT OVERRIDE}exe", r"gpj.\u202eexe"),
        ("a\u2028b\x85c", r"a\u2028b\x85c"),
    ],
)
def test_a_terminal_shows_a_text_and_does_not_obey_it(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_message_of_many_lines_is_one_short_line() -> None:
    line = one_line(ValueError("first\n  second\t" + "x" * 10_000))
    assert line.startswith("first second x") and len(line) == 300 and line.endswith(" ...")
    assert one_line(ValueError()) == "ValueError"


@pytest.mark.parametrize("error", [KeyError("a"), RecursionError("deep"), RuntimeError("b\nc")])
def test_any_exception_of_a_reader_names_the_file(error: Exception) -> None:
    with (
        pytest.raises(UserError, match=r"^x\.json: expected JSON, got \S.*$"),
        reading("x.json", "JSON"),
    ):
        raise error


def test_memory_that_is_not_there_and_mistakes_of_the_user_keep_their_words() -> None:
    with pytest.raises(UserError, match="too large for memory"), reading("x.npy", "an array"):
        raise MemoryError
    with pytest.raises(UserError, match=r"^already said$"), reading("x.npy", "an array"):
        raise UserError("already said")
    with pytest.raises(KeyboardInterrupt), reading("x.npy", "an array"):
        raise KeyboardInterrupt
