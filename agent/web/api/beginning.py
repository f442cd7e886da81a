"""Beginning a session by the API: from what was asked to a recorder that is armed, or records."""

import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec

from agent.checks.history import before_a_session
from agent.daemon.serving import FOLLOWS_S
from agent.requests.lookup import with_request
from agent.sessions.steering import (
    SessionLine,
    ended_before,
    gone_on_with,
    line_of,
    specify,
    start,
    until_armed,
    until_it_records,
)
from agent.web.api.requests import request_key
from agent.web.http.house import House
from config.errors import LiputError, SessionError, UsageError
from config.locale.lookup import text
from config.settings.schema import RecordsSettings
from recorder.model.status import BEFORE, RECORDS, SessionResult
from recorder.package.manifest import Consent, ConsentState
from recorder.running.client import Running, running, running_as, session
from recorder.running.protocol import Name
from recorder.session.request import Asked

LONGEST_S = 30 * 86_400
TAKEN_UP_S = 5.0
"""How long the one button waits for a recorder to come in the place of one killed just now.

Others wait longer; here an event begins, and two recordings of it are better than none.
"""
ROOT = Path("/")
_NODE = re.compile(r"/dev/(video\d+|snd/[\w-]+|v4l/by-(id|path)/[^/]+)")
"""Where the kernel and udev alone make anything; in other folders of /dev, as /dev/shm, everybody may have files."""

type Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
type Words = Annotated[tuple[Word, ...], msgspec.Meta(max_length=16)]
type Text = Annotated[str, msgspec.Meta(max_length=256)]
type Title = Annotated[str, msgspec.Meta(max_length=300)]


class NewSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to be armed, or recorded; what is left out is as the settings have it.

    `videos`, `audios` and `streams` are words as for `liput record`, but for names of files: a destination is one of
    the settings. `request` is the request that it is for; its event is the title where there is none. `allow_missing`:
    begin without a device of these that is not there, as it does without one that nobody named.
    `although_refused`: stream although the speakers do not agree.
    """

    title: Title = ""
    arm_only: bool = False
    streams: Words = ()
    for_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)] | None = None
    request: Word | None = None
    layout: Name | None = None
    videos: Words = ()
    audios: Words = ()
    profile: Word | None = None
    conference: bool | None = None
    isolate: bool = False
    allow_missing: bool = False
    consent: ConsentState = "not-asked"
    consent_note: Text = ""
    although_refused: bool = False
    classification: Text | None = None
    security: Text | None = None
    retention_active: Text | None = None
    retention_inactive: Text | None = None
    disposition: Text | None = None


_RECORDS = RecordsSettings.__struct_fields__
_ALONE = threading.Lock()
"""Held while one button decides between starting what is armed and beginning another session."""

type Begun = SessionLine | SessionResult


def begin(house: House, new: NewSession) -> Begun:
    """Arm a session, or record it; return it once that is so. Raises what kept it from that."""
    asked = _asked(house, new)
    spec = specify(asked, house.settings.file, arm_only=new.arm_only)
    recorder = house.spawn(msgspec.structs.replace(spec, folder=ROOT))
    house.recorders.append(recorder)
    try:
        folder = recorder.ready()
        (until_armed if new.arm_only else until_it_records)(folder)
    except BaseException:
        recorder.terminate()
        raise
    return how_it_is(folder.id)


def how_it_is(recorder_id: str) -> Begun:
    """Return a session as it is now, or how it has ended; raises SessionError."""
    if (found := running_as(recorder_id)) is not None:
        return line_of(found)
    if (end := ended_before(recorder_id)) is None:
        raise no_session(recorder_id)
    return end


def no_session(recorder_id: str) -> SessionError:
    """Return what is raised where no session of this id runs."""
    return SessionError(
        f"no session that runs is called {recorder_id}", hint="GET /api/v1/state lists those that run", why="missing"
    )


def record_now(house: House, pre_roll_s: float) -> Begun:
    """Start what is armed, else begin a session. One that records goes on: a second press does no harm."""
    with _ALONE:
        there = running()
        recording = [one for one in there if one.state in RECORDS]
        armed = [one for one in there if one.state in BEFORE]
        if recording:
            return line_of(recording[0])
        if armed:
            one = session(None, (BEFORE,)) if len(armed) > 1 else armed[0]
            start(one, pre_roll_s)
            return how_it_is(one.info.id)
        if (following := _followed()) is not None and following.state in RECORDS:  # it may have ended since
            return line_of(following)
        return begin(house, NewSession(title=_title_of_now(house)))


def _followed() -> Running | None:
    """Return what goes on with a session whose recorder was killed just now; None where nothing has in time."""
    with suppress(LiputError):  # also why the next one cannot record: the new one may
        return gone_on_with(None, within_s=FOLLOWS_S, patience_s=TAKEN_UP_S)
    return None


def _title_of_now(house: House) -> str:
    word = text("beginning", "recording", house.settings.read().general.language)
    return f"{word} {house.clock.now():%Y-%m-%d %H.%M}"


def _asked(house: House, new: NewSession) -> Asked:
    """Return what a recorder is asked to be. Raises UsageError, DossierError, SettingsError."""
    settings = house.settings.read()
    if not new.title.strip() and new.request is None:
        raise UsageError("there is no title", hint="say what the session is, or for which request")
    for word in (*new.streams, *new.videos, *new.audios):
        refuse_files(word)
    if new.consent == "refused" and new.streams and not new.although_refused:
        raise UsageError(
            f"the speakers do not agree to being recorded, and {', '.join(new.streams)} would show them",
            hint="leave out the stream, or say that it is wanted all the same (although_refused)",
            why="speakers",
        )
    is_said = new.consent != "not-asked" or bool(new.consent_note)
    asked = Asked(
        title=new.title.strip(), videos=new.videos, audios=new.audios, allow_missing=new.allow_missing,
        layout=new.layout, conference=new.conference, isolate=new.isolate, duration_s=new.for_s, streams=new.streams,
        profile=new.profile, archive=house.folder, checked=before_a_session(settings.general.language),
        records={name: value for name in _RECORDS if (value := getattr(new, name)) is not None},
        consent=Consent(
            state=new.consent, note=new.consent_note, noted_at=house.clock.now() if is_said else None
        ),
    )  # fmt: skip
    return with_request(asked, None if new.request is None else request_key(new.request), settings)


def refuse_files(word: str) -> None:
    """Refuse names of files: who may use the page may not read what else this user has."""
    is_file = "/" in word or "\0" in word or (ROOT / word).is_file()  # which is where a recorder would look for it
    if word.startswith(("@", "-")) or (is_file and not _NODE.fullmatch(word)):
        raise UsageError("that is no device and no destination of the settings", hint="GET /api/v1/devices lists them")
