"""Tables of the file of keys beside the stream keys: passwords of copies, what alarms need, secret calendars.

    [copies]
    nas = { password = "..." }
    gudang = { key_file = "gudang_ed25519", passphrase = "..." }
    ember = { access_key = "...", secret_key = "..." }

    [alarms]
    mail_password = "..."                          # of [alarms] mail_user
    webhook_header = "Authorization: Bearer ..."   # sent along with what is posted
    webhook_url = "https://..."                    # instead of [alarms] webhook, where the address itself is a secret

    [feeds]
    rapat = "https://calendar.example/private-0123456789/basic.ics"

`key_file` counts from the folder of the file of keys, so that it can be a credential of a systemd service as well.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.errors import SecretError
from config.settings.quantities import NotAllowed
from config.settings.schema import Settings
from config.settings.secrets import Secret, keys_path, read_key_table, read_private_file
from config.settings.serving import CopyTarget, check_feed_address, check_web_address

_COPIES, _ALARMS, _FEEDS = "copies", "alarms", "feeds"
_COPY_WORDS: Mapping[str, tuple[str, ...]] = {
    "file": (),
    "sftp": ("password", "key_file", "passphrase"),
    "s3": ("access_key", "secret_key"),
}
"""Allowed fields of an entry, by the scheme of its place's address."""
_COPY_FORMS = {
    "sftp": '{ password = "..." } or { key_file = "..." }',
    "s3": '{ access_key = "...", secret_key = "..." }',
}
_ALARM_WORDS = ("mail_password", "webhook_header", "webhook_url")
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]*):\s*(\S.*)")


def _redacted(text: str, secrets: tuple[Secret | None, ...]) -> str:
    for secret in secrets:
        text = text if secret is None else secret.redact(text)
    return text


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


@dataclass(frozen=True)
class CopyCredentials:
    """The credentials for a place for copies; None where its kind needs none."""

    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    access_key: Secret | None = None
    secret_key: Secret | None = None

    def redact(self, text: str) -> str:
        """Return `text` without these secrets."""
        return _redacted(text, (self.password, self.private_key, self.passphrase, self.access_key, self.secret_key))


@dataclass(frozen=True)
class AlarmKeys:
    """The secrets of alarm channels; `webhook_header` is a header's name and its secret value."""

    mail_password: Secret | None = None
    webhook_header: tuple[str, Secret] | None = None
    webhook_url: Secret | None = None

    def redact(self, text: str) -> str:
        """Return `text` without these secrets."""
        return _redacted(text, (self.mail_password, self.webhook_header and self.webhook_header[1], self.webhook_url))


def copy_credentials(settings: Settings, name: str, target: CopyTarget) -> CopyCredentials:
    """Return the credentials for the place `name`. Raises SecretError where they are missing, wrong or exposed."""
    if target.scheme == "file":
        return CopyCredentials()
    path, entries = read_key_table(settings, _COPIES)
    form = _COPY_FORMS[target.scheme]
    hint = f"add the line {name} = {form} below [{_COPIES}] in {path or 'the file of keys'} (chmod 600)"
    entry = entries.get(name)
    if not isinstance(entry, dict):
        raise SecretError(f'there is no password or key for the copies "{name}"', hint=hint)
    if not entry.keys() <= set(_COPY_WORDS[target.scheme]) or not all(map(_is_secret, entry.values())):
        raise SecretError(f'{path}: the entry for the copies "{name}" has a wrong form', hint=hint)
    found = {word: Secret(str(value)) for word, value in entry.items() if word != "key_file"}
    if "key_file" in entry:
        file = path.parent / str(entry["key_file"])
        try:
            found["private_key"] = Secret(read_private_file(file))
        except FileNotFoundError:
            raise SecretError(f'there is no file {file}, the key of the copies "{name}"') from None
    if not found.keys() & {"password", "private_key"} and not {"access_key", "secret_key"} <= found.keys():
        raise SecretError(f'{path}: the login for the copies "{name}" is incomplete', hint=hint)
    return CopyCredentials(**found)


def alarm_keys(settings: Settings) -> AlarmKeys:
    """Return the alarm keys in the file of keys. Raises SecretError where they are missing, wrong or exposed."""
    path, table = read_key_table(settings, _ALARMS)
    wrong = [word for word, value in table.items() if word not in _ALARM_WORDS or not _is_secret(value)]
    if wrong:
        raise SecretError(
            f"{path}: the entry in [{_ALARMS}] has a wrong form",
            hint=f"[{_ALARMS}] takes {', '.join(_ALARM_WORDS)}",
        )
    if settings.alarms.mail_user and settings.alarms.mail_server and "mail_password" not in table:
        raise SecretError(
            "there is no password for the e-mail of alarms",
            hint=f'add the line mail_password = "..." below [{_ALARMS}] in {path or "the file of keys"} (chmod 600)',
        )
    text = {word: str(value) for word, value in table.items()}
    return AlarmKeys(
        mail_password=Secret(text["mail_password"]) if "mail_password" in text else None,
        webhook_header=_header(text["webhook_header"], path) if "webhook_header" in text else None,
        webhook_url=_url(text["webhook_url"], path) if "webhook_url" in text else None,
    )


def _header(text: str, path: Path) -> tuple[str, Secret]:
    match = _HEADER.fullmatch(text.strip())
    if match is None or not text.isascii():
        raise SecretError(f"{path}: webhook_header is no header", hint='write webhook_header = "NAME: VALUE"')
    return match[1], Secret(match[2], match[2].split()[-1])


def _url(text: str, path: Path) -> Secret:
    try:
        check_web_address(text)
    except NotAllowed as error:
        raise SecretError(f"{path}: webhook_url {error}") from None
    return _secret_address(text)


def _secret_address(url: str) -> Secret:
    """Return a secret address; its path alone is redacted too, since servers repeat it."""
    path = url.partition("://")[2].partition("/")[2]
    return Secret(url, path, path.partition("?")[0].rpartition("/")[2])


def feed_address(settings: Settings, name: str) -> Secret:
    """Return the address of the calendar `name`. Raises UsageError, and SecretError where it has no address."""
    if url := settings.feed(name).url:
        return Secret(url)
    path = keys_path(settings)
    hint = f'add url to [feeds.{name}], or the line {name} = "https://..." below [{_FEEDS}] in {path or "keys.toml"}'
    address = read_key_table(settings, _FEEDS)[1].get(name)
    if address is None:
        raise SecretError(f'the calendar "{name}" has no address', hint=hint)
    try:
        return Secret(check_feed_address(address))
    except NotAllowed as error:
        raise SecretError(f'{path}: the address of the calendar "{name}" {error}', hint=hint) from None


def secrets_of_tables(settings: Settings) -> Iterator[Secret]:
    """Yield every secret of the tables, also from invalid entries, for redacting."""
    with contextlib.suppress(SecretError, OSError):
        for entry in read_key_table(settings, _COPIES)[1].values():
            for word, value in entry.items() if isinstance(entry, dict) else ():
                if word != "key_file" and isinstance(value, str):
                    yield Secret(value)
        for word, value in read_key_table(settings, _ALARMS)[1].items():
            if isinstance(value, str):
                yield _secret_address(value) if word == "webhook_url" else Secret(value, *value.split()[-1:])
        for address in read_key_table(settings, _FEEDS)[1].values():
            if isinstance(address, str):
                yield Secret(address)
