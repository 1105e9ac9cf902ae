import shlex
from pathlib import Path

import pytest

from convergan import errors
from convergan.errors import (
    UserError,
    file_problem,
    first_of,
    install_command,
    is_utf8,
    one_line,
    printable,
    quoted,
    reading,
    shortened,
    system_problem,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, größer, 馬, 12\N{NO-BREAK SPACE}%", "plain, größer, 馬, 12\N{NO-BREAK SPACE}%"),
        ("a\nb\x1b]0;owned\x07", r"a\nb\x1b]0;owned\x07"),
        ("cat\udcff", r"cat\udcff"),
        ("gpj.\N{RIGHT-TO-LEFT OVERRIDE}exe", r"gpj.\u202eexe"),
        ("a\u2028b\x85c", r"a\u2028b\x85c"),
    ],
)
def test_a_terminal_shows_a_text_and_does_not_obey_it(text: str, expected: str) -> None:
    assert printable(text) == expected


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


LONG = ["x" * 100_000, "\N{RIGHT-TO-LEFT OVERRIDE}" * 100_000, "\n" * 100_000 + "x"]


@pytest.mark.parametrize("text", LONG)
def test_whatever_is_quoted_is_short(text: str) -> None:
    for message in (
        quoted(text),
        quoted([text] * 10),
        quoted({text: text}),
        one_line(text),
        shortened(text),
        system_problem(OSError(5, text)),
        first_of([text] * 10),
    ):
        assert len(message) <= 350 and message.isprintable()
    with pytest.raises(UserError) as error, reading("x.json", "JSON"):
        raise ValueError(text)
    assert len(str(error.value)) <= 350


def test_a_short_value_is_quoted_as_python_writes_it_and_a_long_one_keeps_both_ends() -> None:
    assert quoted("a  b ") == "'a  b '" and quoted(None) == "None"
    assert (
        shortened("a" + "x" * 1000 + "z", 50).startswith("axx")
        and len(shortened("x" * 99, 50)) <= 50
    )
    assert shortened("a" + "x" * 1000 + "z", 50).endswith("xxz")
    assert first_of("abcdef") == "a, b, c, d, e, ..." and first_of("ab") == "a, b"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "a"), "Permission denied"),
        (OSError("no strerror\nat all"), "no strerror at all"),
        (ValueError("embedded null byte"), "embedded null byte"),
        (OSError(), "OSError"),
    ],
)
def test_what_the_system_says_is_told_without_the_file(error: Exception, message: str) -> None:
    assert system_problem(error) == message


def test_a_file_is_named_where_the_system_names_it() -> None:
    assert file_problem(PermissionError(13, "Permission denied", "a")) == "a: Permission denied"
    assert file_problem(OSError("disk quota")) == "disk quota"


def test_a_lone_surrogate_is_no_utf8() -> None:
    assert is_utf8("größer 馬") and not is_utf8("a\udcff")


def test_an_extra_is_installed_from_the_checkout_that_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout = tmp_path.resolve() / "my checkout"
    package = checkout / "src" / "convergan"
    package.mkdir(parents=True)
    monkeypatch.setattr(errors, "__file__", str(package / "errors.py"))
    assert install_command("study") == "pip install 'convergan[study]'", "no pyproject.toml"
    (checkout / "pyproject.toml").write_text("")
    command = install_command("study")
    assert shlex.split(command) == ["pip", "install", "-e", f"{checkout}[study]"]
    monkeypatch.chdir(checkout)
    assert install_command("study") == "pip install -e '.[study]'"


def test_an_installed_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "lib" / "convergan" / "errors.py"))
    assert install_command("study") == "pip install 'convergan[study]'"
