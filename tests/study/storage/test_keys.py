"""The study's secrets."""

import stat
import string
import time

import pytest

from convergan.errors import UserError
from convergan.study.storage.keys import (
    Keys,
    default_key_file,
    digest,
    new_code,
    new_key_file,
    read_key_file,
    secrets_match,
)


def test_keys_come_back_from_their_file_which_is_private(tmp_path):
    file = tmp_path / "study.key"
    keys = new_key_file(file)
    assert read_key_file(file) == keys
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys.admin_token not in repr(keys) and repr(keys.secret) not in repr(keys)
    with pytest.raises(UserError, match=r"study\.key: expected a new file for the study's keys"):
        new_key_file(file)


def test_other_files_are_no_keys(tmp_path):
    with pytest.raises(UserError, match=r"absent\.key: expected the study's keys, got no file"):
        read_key_file(tmp_path / "absent.key")
    for content in ("", "[]", "{}", '{"secret": "xyz", "admin_token": "a"}'):
        (tmp_path / "other").write_text(content)
        with pytest.raises(UserError, match=r"other: expected the study's keys"):
            read_key_file(tmp_path / "other")


def test_a_hash_needs_the_key_and_the_kind(tmp_path):
    first, second = (new_key_file(tmp_path / name) for name in "ab")
    assert first.hashed("person", "x") == first.hashed("person", "x")
    hashes = {first.hashed("person", "x"), first.hashed("person", "y"), first.hashed("other", "x")}
    assert len({*hashes, second.hashed("person", "x")}) == 4


def test_a_signature_is_for_one_text_and_one_purpose(tmp_path):
    keys, other_keys = (new_key_file(tmp_path / name) for name in "ab")
    signed = keys.signed("link", "open-a.b")
    assert keys.verified("link", signed) == "open-a.b"
    for wrong in (signed[:-1], signed + "0", signed.replace("open", "view"), "", ".", "a.b"):
        assert keys.verified("link", wrong) is None
    assert keys.verified("entry", signed) is None
    assert other_keys.verified("link", signed) is None


def test_a_signature_is_accepted_in_its_one_spelling():
    """Base64 holds 258 bits where a signature has 256, and its readers pass over foreign characters: a
    personal link in another spelling would be another person's."""
    keys = Keys(bytes(32), "admin")
    signed = keys.signed("link", "personal-a")
    alphabet = string.ascii_letters + string.digits + "-_=!~ "
    spellings = [signed[:-1] + character for character in alphabet if character != signed[-1]]
    spellings += [signed[:-3] + character + signed[-3:] for character in alphabet]
    spellings += [signed + character for character in alphabet] + [
        signed.replace("-", "%2D"),
        f" {signed}",
    ]
    assert [spelling for spelling in spellings if keys.verified("link", spelling) is not None] == []
    timed = keys.signed_with_time("link", "personal-a")
    assert keys.verified_within("link", timed, 60) == "personal-a"
    assert [
        character for character in alphabet if keys.verified_within("link", timed + character, 60)
    ] == []


def test_a_signature_ends_with_its_time(monkeypatch):
    keys = Keys(bytes(32), "admin")
    signed = keys.signed_with_time("admin", "0-ab")
    assert keys.verified("admin", signed) is None
    assert keys.verified_within("entry", signed, 60) is None
    assert keys.verified_within("admin", keys.signed("admin", "0-ab"), 60) is None
    now = time.time()
    for later, text in ((59, "0-ab"), (62, None), (-3600, None)):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        assert keys.verified_within("admin", signed, 60) == text


FORMER = Keys(bytes(range(32)), "admin")
"""Keys of the texts below, signed when signatures were the first half of a hash in hexadecimal."""


@pytest.mark.parametrize(
    ("purpose", "signed"),
    [
        ("link", "prolific-Zk3_-qT9xW0aB7cD.633b85c18b8aededa86ccffa4e445ee9"),
        ("link", "personal-Zk3_-qT9xW0aB7cD.a7751c379855b363803b463a53e441e0"),
        ("link", "open-Zk3_-qT9xW0aB7cD.8a53d084548973fecb39b3866e2d7738"),
        ("link", "preview-Zk3_-qT9xW0aB7cD.446537f5ce573e9a07040288145d71cb"),
        (
            "entry",
            "open~ff1ae5ccef49c9e91a9016996b470fb49298268fc796dde60b6f106aa7a61677~~"
            ".eea9b9b3e97f1b2f4008e9155d976da4",
        ),
    ],
)
def test_what_was_signed_before_holds_on(purpose, signed):
    assert FORMER.verified(purpose, signed) == signed.rpartition(".")[0]
    assert FORMER.verified({"link": "entry", "entry": "link"}[purpose], signed) is None
    assert Keys(bytes(32), "admin").verified(purpose, signed) is None
    for wrong in (signed[:-1], signed + "0", signed.upper(), "x" + signed):
        assert FORMER.verified(purpose, wrong) is None


def test_sessions_of_researchers_are_not_taken_from_before():
    former = "99999999999-0-0123456789abcdef.68ded60db38c316229cd1cb6a7972c00"
    assert FORMER.verified("admin", former) is None
    assert FORMER.verified_within("admin", former, 60) is None


def test_codes_can_be_read_out():
    codes = {new_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert not set("01OIL") & set("".join(codes))


def test_the_keys_lie_beside_the_study():
    assert str(default_key_file("a/study.db")) == "a/study.key"
    url = "postgresql://me:secret@host/faces?sslmode=require"
    assert str(default_key_file(url)) == "faces.key"


def test_digests_and_comparisons():
    assert digest("a") != digest("b") and len(digest("a")) == 64
    assert secrets_match("é", "é") and not secrets_match("é", "e")
