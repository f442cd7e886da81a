"""Alarms, one per trouble of a session, their sentences in two languages, and notices of plans.

Parts of the daemon give both to the NoticeBoard, the page shows them, a feature may send them.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from config.locale.lookup import NO_TEXT, BilingualText, LocalizedText, words
from devices.health.faults import Fault
from devices.host.clock import Clock, seconds_now
from devices.model.device import DeviceKind
from devices.roles.assignment import MICROPHONE, PODIUM, ROOM, SLIDES
from recorder.model.session_faults import (
    NOT_OPENED_KINDS,
    REPLACED_KINDS,
    REPORTED_BY_TRACKS,
    SOURCE_AWAY,
    kind_of_fault,
)

WORDS = words("alarm-words")

KILLED, SILENT = "recorder-killed", "recorder-silent"  # the recorder cannot tell these two: it is gone, or silent
FAILED = "session-failed"  # the daemon tells this for a killed session that no recorder continues
DAMAGED = "package-damaged"

SENTENCES = words("alarms")

END_SENTENCES: Mapping[str, LocalizedText] = {
    "source-lost": WORDS["back"],
    "source-silent": WORDS["back"],
    "source-missing": WORDS["back"],
    "recording-stalled": WORDS["the-recording-grows-again"],
    "stepped-down": WORDS["this-pc-keeps-up-again"],
    "destination-slow": WORDS["the-stream-to-keeps-up"],
    **{kind_of_fault(fault): WORDS["well"] for fault in Fault if fault not in REPORTED_BY_TRACKS},
}

_GOES_ON = re.compile(r" (?:Rekaman|The (?:main )?recording|It still records)[^.:]*\.$")

_OF_THE_RECORDING = re.compile(
    r"recorder-|recording-|storage-|session-failed|start-failed|sealing-failed|disk-critical|part"
)

ROLES: Mapping[str, LocalizedText] = {
    SLIDES: WORDS["slide-input"],
    PODIUM: WORDS["podium-camera"],
    ROOM: WORDS["room-camera"],
    MICROPHONE: WORDS["microphone"],
    DeviceKind.CAMERA: WORDS["camera"],
}
"""Names for roles; an unnamed camera has the name of its kind."""
SCREEN = "Screen "  # prefix of the names of screens, which have neither cable nor light
_CONFERENCE: Mapping[str, LocalizedText] = {"camera": WORDS["picture"], "microphone": WORDS["sound"]}
SOURCE_KINDS = re.compile(r"source-|sound-|picture-|isolated-|frames-")

_OF_ONE_TROUBLE = (
    "source-lost",
    *NOT_OPENED_KINDS,
    "source-hung",
    *REPLACED_KINDS,
)  # the kind that explains most comes first

SCREENS: Mapping[str, LocalizedText] = {
    SOURCE_AWAY: WORDS["gives-no-picture-log-out"],
    "source-slow": WORDS["gives-too-few-pictures-this"],
}


def trouble_key(kind: str) -> str:
    """Return the key that all events of one trouble share."""
    return SOURCE_AWAY if kind in _OF_ONE_TROUBLE else kind


def explanation_rank(kind: str) -> int:
    """Return the place of a kind among those of its trouble: 0 explains most."""
    return _OF_ONE_TROUBLE.index(kind) if kind in _OF_ONE_TROUBLE else 0


def explains_less(kind: str, before: str) -> bool:
    """Return whether `before` explains more than `kind`, which only says that the trouble lasts."""
    return kind in REPLACED_KINDS and explanation_rank(before) < explanation_rank(kind)


def subject_name(kind: str, subject: str) -> LocalizedText:
    """Return the name that people use for `subject`, or `subject` itself."""
    as_it_is = LocalizedText(subject, subject)
    if kind.startswith("conference-"):
        return _CONFERENCE.get(subject, as_it_is)
    if not SOURCE_KINDS.match(kind):
        return as_it_is
    return WORDS["synthetic"] if subject.startswith("synthetic") else ROLES.get(subject, as_it_is)


def trouble_sentence(kind: str, subject: str, reason: object = None) -> LocalizedText:
    """Return the sentence for a trouble, with its remedy."""
    return _filled(_words(kind, subject, reason) or WORDS["unknown"], kind, subject)


def without_recording(said: LocalizedText, instead: LocalizedText = NO_TEXT) -> LocalizedText:
    """Return a sentence for a time without a recording: `instead` replaces "the recording goes on"."""
    return LocalizedText(*(_GOES_ON.sub(f" {other}".rstrip(), text) for text, other in zip(said, instead, strict=True)))


def incident(kind: str, subject: str) -> LocalizedText:
    """Return the sentence for a past trouble, as "Picture frozen (Podium camera)."; for an unknown kind, its name."""
    known = words("incidents")
    happened = known.get(kind) or known.get(trouble_key(kind)) or LocalizedText(kind, kind)
    of_it = LocalizedText(*(f" ({name})" if name else "" for name in subject_name(kind, subject)))
    return LocalizedText(*(f"{text}{name}." for text, name in zip(happened, of_it, strict=True)))


def remedy(kind: str, subject: str) -> LocalizedText:
    """Return the advice of `trouble_sentence` without its first clause."""
    rest = (text.partition(": ")[2] for text in without_recording(_words(kind, subject) or WORDS["unknown"]))
    return _filled(LocalizedText(*(f"{text[:1].upper()}{text[1:]}" for text in rest)), kind, subject)


def end_sentence(kind: str, subject: str) -> LocalizedText | None:
    """Return the sentence for the end of a trouble; None if people need none."""
    return _filled(END_SENTENCES[kind], kind, subject) if kind in END_SENTENCES else None


def is_grave(kind: str) -> bool:
    """Return whether the recording is in danger or lacks a whole source."""
    return _OF_THE_RECORDING.match(kind) is not None or trouble_key(kind) == SOURCE_AWAY


def _words(kind: str, subject: str, reason: object = None) -> LocalizedText | None:
    of_screen = SCREENS.get(trouble_key(kind)) if subject.startswith(SCREEN) else None
    return of_screen or SENTENCES.get(f"{kind}:{reason}") or SENTENCES.get(kind)


def _filled(said: LocalizedText, kind: str, subject: str) -> LocalizedText:
    names = subject_name(kind, subject)
    return LocalizedText(*(text.format(subject=name) for text, name in zip(said, names, strict=True)))


type Key = tuple[str, str, str]  # session, trouble (`trouble_key`) and subject


class Alarm(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="alarm"):
    """A trouble since `since`. `kind`, `subject` and `message` are those of the event that explains most."""

    session: str
    title: str
    kind: str
    subject: str
    since: datetime
    message: str
    text: BilingualText

    @property
    def key(self) -> Key:
        """Equal for two alarms of the same trouble."""
        return self.session, trouble_key(self.kind), self.subject


def before_recording(said: BilingualText) -> BilingualText:
    """Return the sentence for a session that does not record yet."""
    return BilingualText(*without_recording(LocalizedText(said.id, said.en), WORDS["not-yet"]))


def new_alarm(
    session: str, title: str, kind: str, subject: str, since: datetime, message: str, reason: object = None
) -> Alarm:
    text = BilingualText(*trouble_sentence(kind, subject, reason))
    return Alarm(session=session, title=title, kind=kind, subject=subject, since=since, message=message, text=text)


URGENT = frozenset({"waits", "overrun", "missed", "blocked", "failed", "without-request", "not-ready"})
"""Kinds that need action."""
SHOWN_S, URGENT_S = 600.0, 1800.0  # how long a notice is shown, unless another one of its plan replaces it
MOST_NOTICES = 50


class PlanNotice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="notice"):
    kind: str
    plan: str
    title: str
    at: datetime
    urgent: bool
    text: BilingualText


@dataclass(eq=False)
class NoticeBoard:
    """`sources` give present alarms, `listeners` get each notice; both return at once. Methods are thread-safe."""

    clock: Clock
    sources: list[Callable[[], Sequence[Alarm]]] = field(default_factory=list)
    listeners: list[Callable[[PlanNotice], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _shown: dict[str, tuple[PlanNotice, float]] = field(default_factory=dict)

    def alarms(self) -> list[Alarm]:
        return [alarm for source in self.sources for alarm in source()]

    def put(self, kind: str, plan: str, title: str, text: BilingualText) -> None:
        """Show a notice in place of the former one of its plan, and give it to the listeners."""
        is_urgent = kind in URGENT
        notice = PlanNotice(kind=kind, plan=plan, title=title, at=self.clock.now(), urgent=is_urgent, text=text)
        with self._lock:
            self._shown.pop(plan, None)
            self._shown[plan] = notice, seconds_now(self.clock) + (URGENT_S if is_urgent else SHOWN_S)
            while len(self._shown) > MOST_NOTICES:
                del self._shown[next(iter(self._shown))]
        for hear in self.listeners:
            hear(notice)

    def notices(self) -> tuple[PlanNotice, ...]:
        """Return the notices shown now, oldest first."""
        now_s = seconds_now(self.clock)
        with self._lock:
            self._shown = {plan: held for plan, held in self._shown.items() if held[1] > now_s}
            return tuple(notice for notice, _ in self._shown.values())
