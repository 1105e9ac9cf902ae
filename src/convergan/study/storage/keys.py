"""Secret keys of a study, in a file separate from the database."""

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
"""Characters of codes; no two look alike."""

_FORMER_PURPOSES = ("link", "entry")
"""Purposes whose signatures are still verified in the former format: links and cookies outlive sessions."""

_HMAC_SHA256: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@dataclass(frozen=True)
class Keys:
    """Secrets of a study, which its database alone must not reveal."""

    secret: bytes = field(repr=False)
    """Key of 256 bits for hashing identifiers and signing links."""
    admin_token: str = field(repr=False)
    """Token that opens the admin page."""

    def hashed(self, kind: str, identifier: str) -> str:
        """Compute the keyed hash (HMAC-SHA256, in hexadecimal) by which an identifier is recognized.

        Args:
            kind: the kind of identifier; equal identifiers of two kinds have different hashes.
            identifier: the identifier, as the platform gave it.
        """
        return hmac.new(self.secret, f"{kind}\n{identifier}".encode(), hashlib.sha256).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Fingerprint by which a study recognizes its keys; it reveals nothing about them."""
        return self.hashed("fingerprint", "")

    def signed(self, purpose: str, text: str) -> str:
        """Sign a text; the result fits into a link or a cookie if the text does.

        The key of a signature is derived from the secret and the purpose (HMAC-SHA256).
        """
        return self._signer(purpose).sign(text).decode()

    def verified(self, purpose: str, signed: str) -> str | None:
        """Return the text that was signed for this purpose; None if the signature is not valid."""
        text = _unsigned(self._signer(purpose), signed)
        if text is None and purpose in _FORMER_PURPOSES:
            return self._verified_of_former(purpose, signed)
        return text

    def signed_with_time(self, purpose: str, text: str) -> str:
        """Sign a text like `signed`, together with the time."""
        return self._timestamp_signer(purpose).sign(text).decode()

    def verified_within(self, purpose: str, signed: str, seconds: int) -> str | None:
        """Return the text from `signed_with_time`; None also if it was signed too many seconds ago."""
        return _unsigned(self._timestamp_signer(purpose), signed, max_age=seconds)

    def _signer(self, purpose: str) -> Signer:
        return Signer(self.secret, f"convergan study {purpose}", **_HMAC_SHA256)

    def _timestamp_signer(self, purpose: str) -> TimestampSigner:
        return TimestampSigner(self.secret, f"convergan study {purpose} with time", **_HMAC_SHA256)

    def _verified_of_former(self, purpose: str, signed: str) -> str | None:
        text, _, signature = signed.rpartition(".")
        expected = self.hashed(f"signature of {purpose}", text)[:32]
        return text if secrets_match(signature, expected) else None


def _unsigned(signer: Signer, signed: str, **limits: int) -> str | None:
    """Return the text that `signer` signed; None unless the signature is spelled as it was then."""
    try:
        text = signer.unsign(signed, **limits)
    except BadSignature:
        return None
    # Base64 can spell one signature in several ways; a person is recognized by the exact text of a link.
    value, _, signature = signed.rpartition(".")
    return text.decode() if secrets_match(signature, signer.get_signature(value).decode()) else None


def new_key_file(path: Path) -> Keys:
    """Generate the secrets of a study, in a file that only its owner may read.

    Raises:
        UserError: the file exists already.
    """
    keys = Keys(secrets.token_bytes(32), secrets.token_urlsafe(24))
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(
            f"{path}: expected a new file for the study's keys, got one that exists"
        ) from None
    with os.fdopen(handle, "w") as file:
        json.dump({"secret": keys.secret.hex(), "admin_token": keys.admin_token}, file, indent=2)
    return keys


def read_key_file(path: Path) -> Keys:
    """Read the secrets in a file from `new_key_file`.

    Raises:
        UserError: the file is missing, or is not a key file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Keys(bytes.fromhex(content["secret"]), content["admin_token"])
    except FileNotFoundError:
        raise UserError(
            f"{path}: expected the study's keys, got no file (--key names the file)"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: expected the study's keys, got a file without them: {one_line(error)}"
        ) from None


def default_key_file(study: str) -> Path:
    """Return the default file of a study's keys: next to a database file, in the working folder for a URL."""
    if "://" not in study:
        return Path(study).expanduser().with_suffix(".key")
    return Path(study.partition("?")[0].rpartition("/")[2] or "study").with_suffix(".key")


def new_code(length: int = 8) -> str:
    """Generate a random code that people can read out and type."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_token() -> str:
    """Generate a bearer token of 256 random bits."""
    return secrets.token_urlsafe(32)


def new_address() -> str:
    """Generate 128 random bits, as a text that fits into a link."""
    return secrets.token_urlsafe(16)


def digest(token: str) -> str:
    """Hash a token for the database (SHA-256); a random token needs no key."""
    return hashlib.sha256(token.encode()).hexdigest()


def secrets_match(first: str, second: str) -> bool:
    """Compare two secrets, in a time that reveals nothing."""
    return hmac.compare_digest(first.encode(), second.encode())
