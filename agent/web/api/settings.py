"""The settings of the first run, by the API. Only this PC may change them: they say where recordings go."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from agent.checks.check import CheckVerdict
from agent.checks.history import result_document
from agent.checks.kinds.storage import folder_state
from agent.web.http.context import ApiContext
from agent.web.http.endpoint import ApiCall, Endpoint
from agent.web.http.responses import CONFLICT, HttpRefusal
from config.errors import SessionError, UsageError
from config.locale.lookup import BilingualText
from config.settings.addresses import scheme_of
from config.settings.editing import EditedValue, change_settings, write_problem
from config.settings.reader import TABLE_NAME
from config.settings.schema import SYSTEM_FILE, Settings, find_file, user_file
from config.settings.secrets import OTHER_TABLES, key_states, read_keys
from recorder.running.access import OPERATORS_VARIABLE as OPERATORS
from recorder.running.runtime_directory import alive_recorders

type Short = Annotated[str, msgspec.Meta(max_length=120)]
type Long = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
type Key = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
type Locked = Literal["file", "elsewhere"]

ELSEWHERE = "settings are changed on the PC itself, not from another one"
_LONGEST_NAME = 40


class ArchiveFolder(msgspec.Struct, frozen=True, kw_only=True):
    """The archive's folder; `state` is the result of its check. `fixed`: set by `--archive`."""

    path: str
    fixed: bool
    free_bytes: int
    state: dict[str, Any]


class KnownDestination(msgspec.Struct, frozen=True, kw_only=True):
    """A destination; `key` is `set`, `missing`, `unreadable` or `not needed`, never the key."""

    name: str
    url: str
    key: str
    test: bool


class SettingsDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="settings"):
    """The settings. `locked`: read-only, because of the `file`, or from `elsewhere`."""

    file: str
    is_new: bool
    locked: Locked | None
    problem: str
    language: str
    room: str
    archive: ArchiveFolder
    destinations: list[KnownDestination]


def settings_now(call: ApiCall) -> SettingsDocument:
    """Return the settings."""
    house, file = call.house, _file(call.house)
    settings = house.settings.read()
    why = "" if call.is_near else ELSEWHERE
    locked: Locked | None = "elsewhere" if why else None
    if not locked and (why := write_problem(file)):
        locked = "file"
    root = house.folder or settings.archive.path
    free, state = folder_state(root, settings, house.clock)
    keys = key_states(settings)
    return SettingsDocument(
        file=str(file), is_new=is_new(settings), locked=locked, problem=why, language=settings.general.language,
        room=settings.general.room,
        archive=ArchiveFolder(
            path=str(root), fixed=house.folder is not None, free_bytes=free,
            state=result_document(state, settings.general.language),
        ),
        destinations=[
            KnownDestination(name=name, url=one.url, key=keys[name], test=one.test)
            for name, one in settings.destinations.items()
        ],
    )  # fmt: skip


def change(
    call: ApiCall, *, language: Short | None = None, room: Short | None = None, archive: Long | None = None
) -> SettingsDocument:
    """Change language, room and archive, all or nothing; null keeps the present value."""
    changes: dict[tuple[str, ...], EditedValue] = {}
    if language is not None:
        changes["general", "language"] = language
    if room is not None:
        changes["general", "room"] = _printable("room", room.strip())
    if archive is not None:
        changes["archive", "path"] = str(_archive(call.house, archive))
    if changes:
        _only_here(call)
        change_settings(_file(call.house), changes)
    return settings_now(call)


class FolderList(msgspec.Struct, frozen=True, kw_only=True):
    """The folders in a folder; `parent` is null at the top."""

    path: str
    parent: str | None
    folders: list[str]


def folders(call: ApiCall, *, path: Annotated[str, msgspec.Meta(max_length=1024)] = "") -> FolderList:
    """Return the folders in `path`, or in the nearest one above that exists; by default in this user's home."""
    _only_here(call)
    asked = Path(path or "~").expanduser().absolute()
    at = next(one for one in (asked, *asked.parents) if one.is_dir())
    try:
        names = [entry.name for entry in os.scandir(at) if entry.is_dir() and entry.name.isprintable()]
    except OSError as error:
        raise UsageError(f"{at} cannot be opened: {error.strerror}", why="denied") from None
    shown = sorted(name for name in names if not name.startswith("."))
    return FolderList(path=str(at), parent=str(at.parent) if at != at.parent else None, folders=shown)


def set_destination(
    call: ApiCall, *, url: Long, key: Key | None = None, passphrase: Key | None = None, stream_id: Key | None = None,
    test: bool = False,
) -> SettingsDocument:  # fmt: skip
    """Add or change a destination. Secrets go to the file of keys; missing ones stay.

    `passphrase` and `stream_id`: for srt://, in place of `key`. `test`: a test without viewers.
    """
    name, url = call.path["name"], _printable("url", url.strip())
    of_srt = {name: value for name, value in (("passphrase", passphrase), ("stream_id", stream_id)) if value}
    if key and of_srt:
        raise UsageError("a destination has either a key, or a passphrase and a stream_id (srt://)")
    secret = key or of_srt or None
    _only_here(call)
    if len(name) > _LONGEST_NAME or not TABLE_NAME.fullmatch(name) or name in ("keys", *OTHER_TABLES):
        raise UsageError(f"a destination's name is of letters, digits, - and _, {_LONGEST_NAME} at most", why="name")
    if scheme_of(url) == "file":
        raise UsageError(
            "a folder as a destination is set by IT, in the settings file", hint="docs/live.md", why="by-it"
        )
    file, before = _file(call.house), call.house.settings.read()
    known = before.destinations.get(name)
    is_same = known is not None and known.url == url.rstrip("/")
    if secret is None and not is_same and name in read_keys(msgspec.structs.replace(before, file=file)):
        raise UsageError(
            f"the key of {name} was given for another address",
            hint="give the key as well",
            why="other-address",
            about=name,
        )
    changes: dict[tuple[str, ...], EditedValue] = {("destinations", name, "url"): url}
    if test or (known is not None and known.test):
        changes["destinations", name, "test"] = test
    settings = change_settings(file, changes, None if secret is None else (name, secret))
    call.house.learn(settings)
    return settings_now(call)


def remove_destination(call: ApiCall) -> SettingsDocument:
    """Remove a destination, and its key. Running sessions keep theirs."""
    name, file, before = call.path["name"], _file(call.house), call.house.settings.read()
    _only_here(call)
    before.destination(name)
    has_key = name in read_keys(msgspec.structs.replace(before, file=file))
    settings = change_settings(file, {("destinations", name): None}, (name, None) if has_key else None)
    call.house.learn(settings)
    return settings_now(call)


def is_new(settings: Settings) -> bool:
    """Return whether this PC lacks its set-up: no settings, or no name of the room."""
    return settings.file is None or not settings.general.room


def _file(house: ApiContext) -> Path:
    """Return the settings file in force, or to be created; a system service uses /etc."""
    found = find_file(house.settings.file)
    return found or (SYSTEM_FILE if os.environ.get(OPERATORS) else user_file())


def _archive(house: ApiContext, asked: str) -> Path:
    if house.folder is not None:
        raise UsageError(
            "the archive was named when Liput was started (--archive)", hint="start it without --archive", why="by-it"
        )
    if any(alive_recorders()):
        raise SessionError(
            "a session runs, and its archive is in use", hint="change the folder after it", why="session-runs"
        )
    text = _printable("archive", asked.strip())
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    if not path.is_absolute() or ".." in path.parts:
        raise UsageError("enter a full path, such as /srv/arsip or ~/Arsip", why="path")
    settings = house.settings.read()
    _free, state = folder_state(path, settings, house.clock)
    if state.verdict is CheckVerdict.FAILURE:
        said = BilingualText(*map(" ".join, zip(state.reason, state.advice, strict=True)))
        raise HttpRefusal(CONFLICT, state.reason.english, hint=state.advice.english, why="unwritable", text=said)
    return path


def _printable(what: str, text: str) -> str:
    if not text.isprintable():
        raise UsageError(f"{what} holds characters that cannot be shown")
    return text


def _only_here(call: ApiCall) -> None:
    if not call.is_near:
        raise HttpRefusal(403, ELSEWHERE, hint="open the page there; `liput` prints its address", why="elsewhere")


_AT = "/api/v1/settings"
ENDPOINTS = [
    Endpoint("GET", _AT, settings_now, "The settings that the page can change", pool="disk", errors=(409,)),
    Endpoint("GET", "/api/v1/folders", folders, "The folders in a folder of this PC", pool="disk"),
    Endpoint("PATCH", _AT, change, "Set language, room or archive", pool="disk", errors=(409,)),
    Endpoint(
        "PUT", f"{_AT}/destinations/{{name}}", set_destination, "Set a destination, and its key",
        pool="disk", errors=(409,),
    ),
    Endpoint(
        "DELETE", f"{_AT}/destinations/{{name}}", remove_destination, "Remove a destination, and its key",
        pool="disk", errors=(409,),
    ),
]  # fmt: skip
