"""The secrets of a study, in a file of their own beside the database."""

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from convergan.errors import UserError, one_line

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""No characters that look like each other."""


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

    def signed(self, purpose: str, text: str) -> str:
        """The text with a signature, fit for a link or a cookie where `text` is."""
        return f"{text}.{self.hashed(f'signature of {purpose}', text)[:32]}"

    def verified(self, purpose: str, signed: str) -> str | None:
        """The text that was signed for this purpose; None if it was not, or has been changed."""
        text, _, _ = signed.rpartition(".")
        return text if same(signed, self.signed(purpose, text)) else None


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
