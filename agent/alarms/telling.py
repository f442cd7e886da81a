"""The words of a message: its subject, and its text in a language."""

from collections.abc import Iterable, Iterator

from agent.alarms.alarm import Alarm
from agent.alarms.message import Message
from config.locale.lookup import WRITTEN, Words
from recorder.archive.names import one_line

LONGEST_SUBJECT, LONGEST_LINE = 120, 500

_BEGAN = Words("Gangguan", "Trouble")
_LASTING = Words("Masih berlangsung", "Still so")
_OVER = Words("Sudah berlalu", "Over")
_STILL = Words("Yang lain masih berlangsung", "Other things are still so")
_PLANNED = Words("Jadwal", "Schedule")
_LAST = Words(
    "Batas pesan per jam tercapai: gangguan berikutnya terlihat di halaman Liput.",
    "No more messages within this hour: look at Liput's page for what follows.",
)
_TEST = Words(
    "Ini pesan uji: bila terbaca, peringatan Liput akan sampai ke sini.",
    "This is a test: if you can read it, Liput's alarms will arrive here.",
)
_MORE = Words("dan {count} lagi", "and {count} more")
_ROOM = Words("ruang", "room")


def subject(message: Message, room: str, language: str) -> str:
    """Return one line that says what it is about, of which room."""
    where = f" ({room})" if room else ""
    if message.is_test:
        return _cut(f"Liput{where}: {_TEST.of(language)}", LONGEST_SUBJECT)
    if message.notices:
        more = f" {_MORE.of(language).format(count=len(message.notices) - 1)}" if len(message.notices) > 1 else ""
        return _cut(f"Liput{where}: {message.notices[0].text.of(language)}", LONGEST_SUBJECT) + more
    news = [*message.began, *message.lasting]
    alarms = news or list(message.over)
    head = "" if news else f"{_OVER.of(language)}: "
    more = f" {_MORE.of(language).format(count=len(alarms) - 1)}" if len(alarms) > 1 else ""
    return _cut(f"Liput{where}: {head}{alarms[0].text.of(language) if alarms else ''}", LONGEST_SUBJECT) + more


def text(message: Message, room: str, language: str) -> str:
    """Return all of it in a language, a line each."""
    return "\n".join(_lines(message, room, language))


def both(message: Message, room: str, language: str) -> str:
    """Return all of it in the language of the room, and in each that it is written in."""
    languages = dict.fromkeys((language, *WRITTEN))
    return "\n\n".join(text(message, room, one) for one in languages) + "\n"


def _lines(message: Message, room: str, language: str) -> Iterator[str]:
    if room:
        yield f"{_ROOM.of(language).capitalize()}: {room}"
    if message.is_test:
        yield _TEST.of(language)
    for number, notice in enumerate(message.notices):
        if not number:
            yield f"{_PLANNED.of(language)}:"
        yield _cut(f"- {notice.at.astimezone():%H:%M:%S} {notice.text.of(language)}", LONGEST_LINE)
    told = {alarm.key for alarm in (*message.began, *message.lasting)}
    yield from _group(_BEGAN, message.began, language)
    yield from _group(_LASTING, message.lasting, language)
    yield from _group(_OVER, message.over, language)
    yield from _group(_STILL, [alarm for alarm in message.present if alarm.key not in told], language)
    if message.is_last:
        yield _LAST.of(language)


def _group(heading: Words, alarms: Iterable[Alarm], language: str) -> Iterator[str]:
    for number, alarm in enumerate(alarms):
        if not number:
            yield f"{heading.of(language)}:"
        yield _cut(f"- {alarm.since.astimezone():%H:%M:%S} {alarm.title}: {alarm.text.of(language)}", LONGEST_LINE)


def _cut(text: str, longest: int) -> str:
    """Return a text as one line, safe in a header, and cut where somebody gave something a very long name."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[:longest]} ..."
