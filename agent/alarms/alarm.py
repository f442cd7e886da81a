"""Alarms, one trouble of one session each, notices of planned sessions, and messages of both."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from agent.alarms.sentences import WORDS, sentence, trouble_of, unrecorded
from config.locale.lookup import Words, in_language

type Key = tuple[str, str, str]
"""Of which session, which trouble (agent/alarms/sentences.py), of what."""


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


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="notice"):
    """What people should hear of a plan; `kind` is one of agent/schedule/part.py."""

    kind: str
    plan: str
    title: str
    at: datetime
    urgent: bool
    text: Said


@dataclass(frozen=True)
class Message:
    """Alarms and notices that are told at once; `present` is all that is wrong now.

    `closes`: it only updates what is shown. `is_last`: no more messages within this hour. `is_test`: it tests a way.
    """

    at: datetime
    began: tuple[Alarm, ...] = ()
    lasting: tuple[Alarm, ...] = ()
    over: tuple[Alarm, ...] = ()
    present: tuple[Alarm, ...] = ()
    notices: tuple[Notice, ...] = ()
    closes: bool = False
    is_last: bool = False
    is_test: bool = False
