"""Passwords and keys of the places that copies go to: a table of the file of keys (config/secrets.py).

    [copies]
    nas = { password = "..." }
    gudang = { key_file = "gudang_ed25519", passphrase = "..." }
    ember = { access_key = "...", secret_key = "..." }

`key_file` counts from the folder of the file of keys, so that it can be a credential of a systemd service as well.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.copies import CopyTarget
from config.errors import SecretError
from config.schema import Settings
from config.secrets import Secret, read_key_table, read_private

TABLE = "copies"

_WORDS: Mapping[str, tuple[str, ...]] = {
    "file": (),
    "sftp": ("password", "key_file", "passphrase"),
    "s3": ("access_key", "secret_key"),
}
"""What may stand in an entry, by the scheme of its place's address."""

_FORMS = {
    "sftp": '{ password = "..." } or { key_file = "..." }',
    "s3": '{ access_key = "...", secret_key = "..." }',
}


@dataclass(frozen=True)
class Login:
    """How Liput makes itself known at a place; what does not go with the kind of place is None."""

    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    access_key: Secret | None = None
    secret_key: Secret | None = None

    def redact(self, text: str) -> str:
        """Return `text` without anything secret that is in here."""
        for secret in (self.password, self.private_key, self.passphrase, self.access_key, self.secret_key):
            text = text if secret is None else secret.redact(text)
        return text


def login_for(settings: Settings, name: str, target: CopyTarget) -> Login:
    """Return how to log in at the place `name`; raises SecretError where that is missing, wrong, or others can read it.

    A folder needs nothing.
    """
    if target.scheme == "file":
        return Login()
    path, entry = _entry(settings, name)
    hint = f"add the line {name} = {_FORMS[target.scheme]} below [{TABLE}] in {path or 'the file of keys'} (chmod 600)"
    if entry is None:
        raise SecretError(f'there is no password or key for the copies "{name}"', hint=hint)
    if not entry.keys() <= set(_WORDS[target.scheme]) or not all(_is_secret(value) for value in entry.values()):
        raise SecretError(f'{path}: what stands there for the copies "{name}" is of another form', hint=hint)
    found = {word: Secret(str(value)) for word, value in entry.items() if word != "key_file"}
    if "key_file" in entry:
        found["private_key"] = _private_key(path.parent / str(entry["key_file"]), name)
    if not found.keys() & {"password", "private_key"} and not {"access_key", "secret_key"} <= found.keys():
        raise SecretError(f'{path}: a part of what logs in for the copies "{name}" is missing', hint=hint)
    return Login(**found)


def _private_key(path: Path, name: str) -> Secret:
    try:
        return Secret(read_private(path))
    except FileNotFoundError:
        raise SecretError(f'there is no file {path}, the key of the copies "{name}"') from None


def _entry(settings: Settings, name: str) -> tuple[Path, Mapping[str, object] | None]:
    path, entries = read_key_table(settings, TABLE)
    entry = entries.get(name)
    return path, entry if isinstance(entry, dict) else None


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def copy_secrets(settings: Settings) -> Iterator[Secret]:
    """Yield everything secret of the table, whatever else is wrong with it: what must not be printed."""
    with contextlib.suppress(SecretError, OSError):
        for entry in read_key_table(settings, TABLE)[1].values():
            for word, value in entry.items() if isinstance(entry, dict) else ():
                if word != "key_file" and isinstance(value, str):
                    yield Secret(value)
