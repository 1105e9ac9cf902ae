"""The secrets of a study, in a file of their own beside the database."""

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from itsdangerous import BadSignature, Signer, TimestampSigner

from convergan.errors import UserError, one_line

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""No characters that look like each other."""

_FORMER_PURPOSES = ("link", "entry")
"""Given out with signatures of the former format, for longer than any session: they are still verified."""


_HMAC_SHA256: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@dataclass(frozen=True)
class Keys:
    """What the database alone must not tell."""

    secret: bytes = field(repr=False)
    """256 bits: identifiers are hashed and links signed with it."""
    admin_token: str = field(repr=False)
    """Opens the admin page."""

    def hashed(self, kind: str, identifier: str) -> str:
        """The keyed hash (HMAC-SHA256, in hexadecimal) by which an identifier is known again.

        Args:
            kind: what is identified; equal identifiers of two kinds have different hashes.
            identifier: as the platform gave it.
        """
        return hmac.new(self.secret, f"{kind}\n{identifier}".encode(), hashlib.sha256).hexdigest()

    @property
    def fingerprint(self) -> str:
        """By which a study knows its own keys; tells nothing about them."""
        return self.hashed("fingerprint", "")

    def signed(self, purpose: str, text: str) -> str:
        """The text with a signature, fit for a link or a cookie where `text` is.

        The key of a signature is derived from the secret and the purpose (HMAC-SHA256).
        """
        return self._signer(purpose).sign(text).decode()

    def verified(self, purpose: str, signed: str) -> str | None:
        """The text that was signed for this purpose; None if it was not, or has been changed."""
        text = _unsigned(self._signer(purpose), signed)
        if text is None and purpose in _FORMER_PURPOSES:
            return self._verified_of_former(purpose, signed)
        return text

    def signed_with_time(self, purpose: str, text: str) -> str:
        """The same as `signed`, with the time of signing."""
        return self._timestamp_signer(purpose).sign(text).decode()

    def verified_within(self, purpose: str, signed: str, seconds: int) -> str | None:
        """The text of `signed_with_time`; None also where it was signed more than so many seconds ago."""
        return _unsigned(self._timestamp_signer(purpose), signed, max_age=seconds)

    def _signer(self, purpose: str) -> Signer:
        return Signer(self.secret, f"convergan study {purpose}", **_HMAC_SHA256)

    def _timestamp_signer(self, purpose: str) -> TimestampSigner:
        return TimestampSigner(self.secret, f"convergan study {purpose} with time", **_HMAC_SHA256)

    def _verified_of_former(self, purpose: str, signed: str) -> str | None:
        text, _, signature = signed.rpartition(".")
        expected = self.hashed(f"signature of {purpose}", text)[:32]
        return text if same(signature, expected) else None


def _unsigned(signer: Signer, signed: str, **limits: int) -> str | None:
    """The text of what `signer` signed, as it was spelled then."""
    try:
        text = signer.unsign(signed, **limits)
    except BadSignature:
        return None
    # Base64 writes one signature in many ways; who holds a personal link is known by the link as given out.
    value, _, signature = signed.rpartition(".")
    return text.decode() if same(signature, signer.get_signature(value).decode()) else None


def new_key_file(path: Path) -> Keys:
    """Makes a study's secrets, in a file that only its owner may read.

    Raises:
        UserError: the file exists.
    """
    keys = Keys(secrets.token_bytes(32), secrets.token_urlsafe(24))
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{path}: expected no file yet for the study's keys, got one") from None
    with os.fdopen(handle, "w") as file:
        json.dump({"secret": keys.secret.hex(), "admin_token": keys.admin_token}, file, indent=2)
    return keys


def read_key_file(path: Path) -> Keys:
    """The secrets in a file that `new_key_file` made.

    Raises:
        UserError: the file is absent, or another one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Keys(bytes.fromhex(content["secret"]), content["admin_token"])
    except FileNotFoundError:
        raise UserError(
            f"{path}: expected the study's keys, got no file (--key says where)"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: expected the study's keys, got a file without: {one_line(error)}"
        ) from None


def default_key_file(study: str) -> Path:
    """Where the keys of a study are: beside a file, in the working folder for a URL."""
    if "://" not in study:
        return Path(study).expanduser().with_suffix(".key")
    return Path(study.partition("?")[0].rpartition("/")[2] or "study").with_suffix(".key")


def new_code(length: int = 8) -> str:
    """A random code that people can read out and type."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_token() -> str:
    """A bearer token of 256 random bits."""
    return secrets.token_urlsafe(32)


def new_address() -> str:
    """128 random bits, fit for a link."""
    return secrets.token_urlsafe(16)


def digest(token: str) -> str:
    """What the database keeps of a token: its SHA-256. A random token needs no key."""
    return hashlib.sha256(token.encode()).hexdigest()


def same(first: str, second: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing."""
    return hmac.compare_digest(first.encode(), second.encode())
