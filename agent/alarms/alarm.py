"""Alarms, one trouble of one session each, notices of planned sessions, and messages of both."""

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from config.locale.lookup import NOTHING, Words, in_language, words
from devices.health.faults import Fault
from devices.model.device import DeviceKind
from devices.roles.roles import MICROPHONE, PODIUM, ROOM, SLIDES
from recorder.model.troubles import AWAY, NOT_OPENED, REPLACED, TOLD_BY_TRACKS, kind_of

WORDS = words("alarm-words")

KILLED, SILENT = "recorder-killed", "recorder-silent"
"""Troubles that no session can tell of: its recorder is gone, or says nothing any more."""
FAILED = "session-failed"
"""Of a session whose recorder was killed, and that nobody goes on with any more, it is told for the session."""
DAMAGED = "package-damaged"

SENTENCES = words("alarms")

OVER: Mapping[str, Words] = {
    "source-lost": WORDS["back"],
    "source-silent": WORDS["back"],
    "source-missing": WORDS["back"],
    "recording-stalled": WORDS["the-recording-grows-again"],
    "stepped-down": WORDS["this-pc-keeps-up-again"],
    "destination-slow": WORDS["the-stream-to-keeps-up"],
    **{kind_of(fault): WORDS["well"] for fault in Fault if fault not in TOLD_BY_TRACKS},
}

_GOES_ON = re.compile(r" (?:Rekaman|The (?:main )?recording|It still records)[^.:]*\.$")

_OF_THE_RECORDING = re.compile(
    r"recorder-|recording-|storage-|session-failed|start-failed|sealing-failed|disk-critical|part"
)

ROLES: Mapping[str, Words] = {
    SLIDES: WORDS["slide-input"],
    PODIUM: WORDS["podium-camera"],
    ROOM: WORDS["room-camera"],
    MICROPHONE: WORDS["microphone"],
    DeviceKind.CAMERA: WORDS["camera"],
}
"""By role; a camera that nobody named, and that is not there yet, is called by its kind."""
SCREEN = "Screen "
"""What the names of screens begin with: no cable and no light is to be looked at."""
_CONFERENCE: Mapping[str, Words] = {"camera": WORDS["picture"], "microphone": WORDS["sound"]}
OF_A_SOURCE = re.compile(r"source-|sound-|picture-|isolated-|frames-")

_OF_ONE_TROUBLE = ("source-lost", *NOT_OPENED, "source-hung", *REPLACED)
"""What says most of why it gives nothing comes first."""

SCREENS: Mapping[str, Words] = {
    AWAY: WORDS["gives-no-picture-log-out"],
    "source-slow": WORDS["gives-too-few-pictures-this"],
}
"""What is said of a screen, by its trouble: it has neither a cable nor light to look at."""


def trouble_of(kind: str) -> str:
    """Return what events of the same trouble have in common."""
    return AWAY if kind in _OF_ONE_TROUBLE else kind


def rank(kind: str) -> int:
    """Return how little a kind says, beside others of its trouble."""
    return _OF_ONE_TROUBLE.index(kind) if kind in _OF_ONE_TROUBLE else 0


def tells_less(kind: str, before: str) -> bool:
    """Return whether `before` is still what people should know: what is left of the trouble only says that it lasts."""
    return kind in REPLACED and rank(before) < rank(kind)


def named(kind: str, subject: str) -> Words:
    """Return what people call the `subject` of an event of `kind`; itself where they have no other word for it."""
    as_it_is = Words(subject, subject)
    if kind.startswith("conference-"):
        return _CONFERENCE.get(subject, as_it_is)
    if not OF_A_SOURCE.match(kind):
        return as_it_is
    return WORDS["synthetic"] if subject.startswith("synthetic") else ROLES.get(subject, as_it_is)


def sentence(kind: str, subject: str, reason: object = None) -> Words:
    """Return what to tell people of a trouble, and what to do about it."""
    return _filled(_words(kind, subject, reason) or WORDS["unknown"], kind, subject)


def unrecorded(said: Words, instead: Words = NOTHING) -> Words:
    """Return a sentence as it is where nothing is recorded: `instead` of that the recording goes on."""
    return Words(*(_GOES_ON.sub(f" {other}".rstrip(), text) for text, other in zip(said, instead, strict=True)))


def what_happened(kind: str, subject: str) -> Words | None:
    """Return what a trouble was, when nothing can be done about it any more; None for a kind that is not known."""
    if (said := _words(kind, subject)) is None:
        return None
    return _filled(Words(*(f"{text.partition(': ')[0]}." for text in said)), kind, subject)


def when_over(kind: str, subject: str) -> Words | None:
    """Return what to say when a trouble has ended; None where that is not worth a word."""
    return _filled(OVER[kind], kind, subject) if kind in OVER else None


def is_grave(kind: str) -> bool:
    """Return whether the recording itself is in danger, or lacks a whole source; everything else is less urgent."""
    return _OF_THE_RECORDING.match(kind) is not None or trouble_of(kind) == AWAY


def _words(kind: str, subject: str, reason: object = None) -> Words | None:
    of_screen = SCREENS.get(trouble_of(kind)) if subject.startswith(SCREEN) else None
    return of_screen or SENTENCES.get(f"{kind}:{reason}") or SENTENCES.get(kind)


def _filled(said: Words, kind: str, subject: str) -> Words:
    names = named(kind, subject)
    return Words(*(text.format(subject=name) for text, name in zip(said, names, strict=True)))


type Key = tuple[str, str, str]
"""Of which session, which trouble (agent/alarms/alarm.py), of what."""


class Said(msgspec.Struct, frozen=True):
    """A sentence in both languages."""

    id: str
    en: str

    def of(self, language: str) -> str:
        """Return it in a language; English for one there is none in."""
        return in_language((self.id, self.en), language)


class Alarm(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="alarm"):
    """A trouble since `since`: `kind`, `subject` and `message` of the event that says most, and advice."""

    session: str
    title: str
    kind: str
    subject: str
    since: datetime
    message: str
    text: Said

    @property
    def key(self) -> Key:
        """What makes two alarms the same trouble."""
        return self.session, trouble_of(self.kind), self.subject


def before_it_records(said: Said) -> Said:
    """Return what is said of a trouble as long as its session does not record."""
    return Said(*unrecorded(Words(said.id, said.en), WORDS["not-yet"]))


def new_alarm(
    session: str, title: str, kind: str, subject: str, since: datetime, message: str, reason: object = None
) -> Alarm:
    """Return an alarm, with what people are told of it."""
    words = sentence(kind, subject, reason)
    return Alarm(
        session=session, title=title, kind=kind, subject=subject, since=since, message=message,
        text=Said(words.indonesian, words.english),
    )  # fmt: skip
