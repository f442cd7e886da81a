"""The secrets of the settings, in a file of keys that only its owner can read, and the addresses that hold them.

Beside stream keys by destination, that file has tables:

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
import os
import re
import stat
import sys
import tomllib
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

import msgspec

from config.errors import SecretError, UsageError
from config.settings.addresses import (
    LONGEST_STREAM_ID,
    PASSPHRASE_LENGTHS,
    SCHEMES,
    KeyForm,
    check_stream_url,
    login_of,
    scheme_of,
)
from config.settings.quantities import NotAllowed
from config.settings.schema import DestinationSettings, Settings
from config.settings.serving import CopyTarget, check_feed_address, check_web_address

CREDENTIAL = "liput-keys"
"""The name of the keys among a systemd service's credentials (LoadCredential=liput-keys:/etc/liput/keys.toml)."""

_COPIES, _ALARMS, _FEEDS = OTHER_TABLES = ("copies", "alarms", "feeds")
"""The tables beside the stream keys; no destination has their names."""

_FORMS: Mapping[KeyForm, str] = {
    "stream": '"..."',
    "srt": '{ passphrase = "...", stream_id = "..." } (either may be left out)',
}

_HIDDEN = "(hidden)"
_PRIVATE, _FOR_A_SERVICE = 0o600, 0o770
_SHORTEST_TO_REDACT = 4  # redacting every "a" would destroy the message


class Secret:
    """A text hidden from print, format, repr, logging, pickle and JSON."""

    __slots__ = ("_parts", "_value", "is_srt")

    def __init__(self, value: str, *parts: str, is_srt: bool = False) -> None:
        """`parts` of `value` are secret on their own; `is_srt` marks the key of an SRT destination."""
        self._value = value
        self._parts = parts
        self.is_srt = is_srt

    def reveal(self) -> str:
        """Return the text. Never pass it to anything that writes it down."""
        return self._value

    def redact(self, text: str) -> str:
        """Return `text` with the secret and each of its parts removed."""
        for secret in (self._value, *self._parts):
            if len(secret) >= _SHORTEST_TO_REDACT:
                text = text.replace(secret, _HIDDEN)
        return text

    def in_json(self) -> "Secret":
        """Return the secret as escaped within a JSON string."""
        return Secret(*(msgspec.json.encode(text)[1:-1].decode() for text in (self._value, *self._parts)))

    def __repr__(self) -> str:
        return f"Secret{_HIDDEN}"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def srt_secret(passphrase: str, stream_id: str) -> Secret:
    """Return both as the query of an SRT address; "" is none."""
    given = {"passphrase": passphrase, "streamid": stream_id}
    quoted = (f"{name}={urllib.parse.quote(value, safe='')}" for name, value in given.items() if value)
    return Secret("&".join(quoted), *_spellings(*given.values()), is_srt=True)


def _spellings(*secrets: str) -> tuple[str, ...]:
    return tuple({text for secret in secrets if secret for text in (secret, urllib.parse.quote(secret, safe=""))})


class StreamTarget(msgspec.Struct, frozen=True):
    """One live stream's destination: its name, complete address, and the authorities that it is checked against."""

    name: str
    url: Secret
    ca_file: Path | None = None


def stream_target(settings: Settings, argument: str) -> StreamTarget:
    """Return the target of `--stream ARGUMENT`: a name or @FILE (`@-`: stdin). Raises UsageError, SecretError."""
    if argument.startswith("@"):
        return StreamTarget(stream_name(argument), read_url_file(argument.removeprefix("@")))
    url = destination_url(settings, argument)
    return StreamTarget(argument, url, settings.destinations[argument].ca_file)


def stream_name(argument: str) -> str:
    """Return the name of the destination that `--stream ARGUMENT` means."""
    if not argument.startswith("@"):
        return argument
    return "stdin" if argument == "@-" else Path(argument.removeprefix("@")).stem


def destination_url(settings: Settings, name: str) -> Secret:
    """Return the address of destination `name` with its key; errors as for `stream_target`."""
    if "://" in name:
        raise UsageError(
            "a stream's address does not belong on the command line: every user of this machine can read it there",
            hint="name a destination of the settings (--stream NAME), or a file with the address that only you can "
            "read (--stream @FILE; @- is standard input)",
        )
    destination = settings.destination(name)
    path, table = _read_table(settings)
    key = read_key(name, table[name], path) if name in table else None  # others may be invalid
    problem = key_problem(destination, key)
    if problem:
        form = _FORMS.get(SCHEMES[destination.scheme].key)
        raise SecretError(
            f'{problem} for the destination "{name}"',
            hint=f"add the line {name} = {form} to {keys_path(settings)} (chmod 600)"
            if form
            else f"take {name} out of {keys_path(settings)}",
            about=name,
        )
    return _whole_address(destination, key)


def key_problem(destination: DestinationSettings, key: Secret | None) -> str:
    """Return the problem with a key or its absence, as in "there is no key"; "" where there is none."""
    if key is None:
        return "there is no key" if destination.needs_key else ""
    scheme = SCHEMES[destination.scheme]
    if scheme.key == "":
        what = "a folder" if scheme.form == "folder" else "its kind"
        return f"there is a key, but {what} needs none,"
    if key.is_srt is not (scheme.key == "srt"):
        return "the key is of another form than it should be"
    return ""


def key_states(settings: Settings) -> dict[str, str]:
    """Return `set`, `missing`, `unreadable` or `not needed` for the key of each destination."""
    try:
        keys = read_keys(settings)
    except SecretError:
        return dict.fromkeys(settings.destinations, "unreadable")
    return {
        name: "set" if name in keys else "missing" if destination.needs_key else "not needed"
        for name, destination in settings.destinations.items()
    }


def _whole_address(destination: DestinationSettings, key: Secret | None) -> Secret:
    url = destination.url
    if SCHEMES[destination.scheme].key == "srt":
        query = f"mode={destination.mode or 'caller'}"
        if destination.latency_s is not None:
            query += f"&latency={round(destination.latency_s * 1000)}"
        if key is not None:
            query += f"&{key.reveal()}"
        return secret_url(f"{url}?{query}")
    return secret_url(url) if key is None else Secret(f"{url}/{key.reveal()}", key.reveal())


def keys_path(settings: Settings) -> Path | None:
    """Return the file of keys: `keys_file`, the service's credential, or keys.toml beside the settings."""
    if settings.keys_file is not None:
        return settings.keys_file
    credential = _credential()
    if credential is not None and os.path.exists(credential):  # noqa: PTH110 - Path.exists may raise
        return credential
    return None if settings.file is None else settings.file.with_name("keys.toml")


def read_keys(settings: Settings) -> Mapping[str, Secret]:
    """Return the keys by destination; an empty mapping without a file of keys. Raises SecretError."""
    path, table = _read_table(settings)
    return {name: read_key(name, value, path) for name, value in table.items()}


def _read_table(settings: Settings) -> tuple[Path, dict[str, object]]:
    """Return the file of keys and its stream keys; an empty table without a file. Raises SecretError."""
    path, table = _read_private_table(settings)
    keys = table.pop("keys", {})
    for other in OTHER_TABLES:
        if not isinstance(table.get(other), str):
            table.pop(other, None)
    return path, {**table, **(keys if isinstance(keys, dict) else {})}


def _read_key_table(settings: Settings, name: str) -> tuple[Path, dict[str, object]]:
    """Return the file of keys and its table `name`; an empty table without a file. Raises SecretError."""
    path, table = _read_private_table(settings)
    entries = table.get(name)
    return path, entries if isinstance(entries, dict) else {}


def _read_private_table(settings: Settings) -> tuple[Path, dict[str, object]]:
    """Return the file of keys and its content; an empty table without a file. Raises SecretError."""
    path = keys_path(settings)
    if path is None:
        return Path(), {}
    try:
        text = read_private_file(path)
    except FileNotFoundError:
        return path, {}
    try:
        return path, tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # The parser's message may repeat a piece of the file.
        raise SecretError(f"{path} is not TOML", hint='each line looks like NAME = "..."') from None


def read_key(name: str, value: object, path: Path) -> Secret:
    """Return the key `name` from its value in the file `path`. Raises SecretError."""
    if isinstance(value, dict):
        return _srt_key(name, value, path)
    if not isinstance(value, str):
        raise SecretError(f'{path}: the key "{name}" is not text in quotes', hint=f'write {name} = "..."')
    value = value.strip().lstrip("/")
    if "://" in value:
        raise SecretError(
            f'{path}: the key "{name}" is a whole address', hint="the address belongs in the settings, the key here"
        )
    if not value or not value.isprintable() or " " in value:
        raise SecretError(f'{path}: the key "{name}" is empty, or holds blanks or control characters')
    return Secret(value, value.partition("?")[0])


def _srt_key(name: str, table: Mapping[str, object], path: Path) -> Secret:
    where = f'{path}: the key "{name}"'
    passphrase, stream_id = table.get("passphrase", ""), table.get("stream_id", "")
    if not isinstance(passphrase, str) or not isinstance(stream_id, str) or not passphrase + stream_id:
        raise SecretError(f"{where} is not text in quotes", hint=f"write {name} = {_FORMS['srt']}")
    if not table.keys() <= {"passphrase", "stream_id"}:
        raise SecretError(f"{where} has more than a passphrase and a stream_id", hint=f"write {name} = {_FORMS['srt']}")
    if passphrase and len(passphrase.encode()) not in PASSPHRASE_LENGTHS:
        raise SecretError(f"{where}: a passphrase has 10 to 79 characters")
    if len(stream_id.encode()) > LONGEST_STREAM_ID:
        raise SecretError(f"{where}: a stream id has {LONGEST_STREAM_ID} characters at most")
    if not (passphrase + stream_id).isprintable():
        raise SecretError(f"{where} holds control characters")
    return srt_secret(passphrase, stream_id)


def _credential() -> Path | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) / CREDENTIAL if folder else None


def read_url_file(path: Path | str, stdin: TextIO | None = None) -> Secret:
    """Return the address in the first line of a private file, or of standard input for "-". Raises SecretError."""
    if str(path) == "-":
        source, text = "standard input", (sys.stdin if stdin is None else stdin).readline()
    else:
        source = str(path)
        try:
            text = read_private_file(Path(path))
        except FileNotFoundError:
            raise SecretError(f"there is no file {path}", hint="its first line should be the address") from None
    url = text.strip().partition("\n")[0].strip()
    try:
        check_stream_url(url)
    except NotAllowed as error:
        raise SecretError(
            f"the address in {source} {error}", hint="its first line should be the whole address: rtmps://HOST/APP/KEY"
        ) from None
    return secret_url(url)


def secret_url(url: str) -> Secret:
    """Return a complete address as a Secret with its secret parts. Raises SecretError, which repeats nothing."""
    scheme = SCHEMES.get(scheme_of(url))
    if scheme is None:
        raise SecretError(
            "the address does not begin with rtmps:// or another known scheme", hint="write the whole address"
        )
    key = scheme.key
    if key == "":
        return Secret(url)
    if key == "srt":
        given = (pair.partition("=") for pair in url.partition("?")[2].split("&"))
        return Secret(
            url, *_spellings(*(urllib.parse.unquote(v) for n, _, v in given if n in ("passphrase", "streamid")))
        )
    return Secret(url, url.rsplit("/", 1)[-1], login_of(url).partition(":")[2])


def read_private_file(path: Path) -> str:
    """Return the text of a file that only its owner (this user, or root) can read.

    A service's credential may have group bits: they are those of the access list by which systemd lets the service read
    it. Raises FileNotFoundError, and SecretError for everything else.
    """
    try:
        # Non-blocking: a FIFO must not hang the open before the check.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), encoding="utf-8") as file:  # noqa: PTH123 - the checked descriptor
            is_of_service = (keys := _credential()) is not None and path.parent == keys.parent
            _check_private(path, os.fstat(file.fileno()), _FOR_A_SERVICE if is_of_service else _PRIVATE)
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SecretError(f"cannot read {path}: {error.strerror}", hint="its owner must be the user of liput") from None
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not UTF-8 text") from None


def _check_private(path: Path, status: os.stat_result, allowed: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SecretError(f"{path} is not a file")
    if status.st_uid not in (os.geteuid(), 0):
        raise SecretError(f"{path} belongs to another user", hint=f"chown {os.geteuid()} '{path}'")
    if stat.S_IMODE(status.st_mode) & ~allowed:
        raise SecretError(
            f"{path} must be for its owner alone (its mode is {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod 600 '{path}'",
        )


_COPY_WORDS: Mapping[str, tuple[str, ...]] = {
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


@dataclass(frozen=True)
class AlarmKeys:
    """The secrets of alarm channels; `webhook_header` is a header's name and its secret value."""

    mail_password: Secret | None = None
    webhook_header: tuple[str, Secret] | None = None
    webhook_url: Secret | None = None

    def redact(self, text: str) -> str:
        """Return `text` without these secrets."""
        for secret in (self.mail_password, self.webhook_header and self.webhook_header[1], self.webhook_url):
            text = secret.redact(text) if secret else text
        return text


def copy_credentials(settings: Settings, name: str, target: CopyTarget) -> CopyCredentials:
    """Return the credentials for the place `name`. Raises SecretError where they are missing, wrong or exposed."""
    path, entries = _read_key_table(settings, _COPIES)
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
    path, table = _read_key_table(settings, _ALARMS)
    wrong = [word for word, value in table.items() if word not in _ALARM_WORDS or not _is_secret(value)]
    if wrong:
        raise SecretError(
            f"{path}: the entry in [{_ALARMS}] has a wrong form", hint=f"[{_ALARMS}] takes {', '.join(_ALARM_WORDS)}"
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
    address = _read_key_table(settings, _FEEDS)[1].get(name)
    if address is None:
        raise SecretError(f'the calendar "{name}" has no address', hint=hint)
    try:
        return Secret(check_feed_address(address))
    except NotAllowed as error:
        raise SecretError(f'{path}: the address of the calendar "{name}" {error}', hint=hint) from None


def secrets_of_tables(settings: Settings) -> Iterator[Secret]:
    """Yield every secret of the tables, also from invalid entries, for redacting."""
    with contextlib.suppress(SecretError, OSError):
        for entry in _read_key_table(settings, _COPIES)[1].values():
            for word, value in entry.items() if isinstance(entry, dict) else ():
                if word != "key_file" and isinstance(value, str):
                    yield Secret(value)
        for word, value in _read_key_table(settings, _ALARMS)[1].items():
            if isinstance(value, str):
                yield _secret_address(value) if word == "webhook_url" else Secret(value, *value.split()[-1:])
        for address in _read_key_table(settings, _FEEDS)[1].values():
            if isinstance(address, str):
                yield Secret(address)
