"""The study's secrets."""

import stat

import pytest

from convergan.errors import UserError
from convergan.study.keys import (
    default_key_file,
    digest,
    new_code,
    new_key_file,
    read_key_file,
    same,
)


def test_keys_come_back_from_their_file_which_is_private(tmp_path):
    file = tmp_path / "study.key"
    keys = new_key_file(file)
    assert read_key_file(file) == keys
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys.admin_token not in repr(keys) and repr(keys.secret) not in repr(keys)
    with pytest.raises(UserError, match=r"study\.key: expected no file yet"):
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
    keys, others = (new_key_file(tmp_path / name) for name in "ab")
    signed = keys.signed("link", "open-a.b")
    assert keys.verified("link", signed) == "open-a.b"
    for wrong in (signed[:-1], signed + "0", signed.replace("open", "view"), "", ".", "a.b"):
        assert keys.verified("link", wrong) is None
    assert keys.verified("entry", signed) is None
    assert others.verified("link", signed) is None


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
    assert same("é", "é") and not same("é", "e")
