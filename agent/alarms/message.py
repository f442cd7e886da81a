"""Messages to people, with alarms and notices, and their text in a language."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from agent.health.alarm import WORDS, Alarm, PlanNotice
from config.locale.lookup import WRITTEN
from recorder.model.names import one_line


@dataclass(frozen=True)
class Message:
    """Alarms and notices to send at once; `present` has every present alarm.

    `closes`: only the desktop is updated. `is_last`: the last message of this hour. `is_test`: a test of a channel.
    """

    at: datetime
    began: tuple[Alarm, ...] = ()
    lasting: tuple[Alarm, ...] = ()
    over: tuple[Alarm, ...] = ()
    present: tuple[Alarm, ...] = ()
    notices: tuple[PlanNotice, ...] = ()
    closes: bool = False
    is_last: bool = False
    is_test: bool = False


LONGEST_SUBJECT, LONGEST_LINE = 120, 500


def subject_line(message: Message, room: str, language: str) -> str:
    where = f" ({room})" if room else ""
    if message.is_test:
        return _cut(f"Liput{where}: {WORDS['test'].of(language)}", LONGEST_SUBJECT)
    if message.notices:
        first = message.notices[0].text.of(language)
        return _cut(f"Liput{where}: {first}", LONGEST_SUBJECT) + _more(len(message.notices), language)
    news = [*message.began, *message.lasting]
    alarms = news or list(message.over)
    head = "" if news else f"{WORDS['over'].of(language)}: "
    return _cut(f"Liput{where}: {head}{alarms[0].text.of(language) if alarms else ''}", LONGEST_SUBJECT) + _more(
        len(alarms), language
    )


def _more(count: int, language: str) -> str:
    return f" {WORDS['more'].of(language).format(count=count - 1)}" if count > 1 else ""


def message_text(message: Message, room: str, language: str) -> str:
    return "\n".join(_lines(message, room, language))


def text_in_all_languages(message: Message, room: str, language: str) -> str:
    """Return the text in the room's language, then in Indonesian and English."""
    languages = dict.fromkeys((language, *WRITTEN))
    return "\n\n".join(message_text(message, room, one) for one in languages) + "\n"


def _lines(message: Message, room: str, language: str) -> Iterator[str]:
    if room:
        yield f"{WORDS['room'].of(language).capitalize()}: {room}"
    if message.is_test:
        yield WORDS["test"].of(language)
    if message.notices:
        yield f"{WORDS['planned'].of(language)}:"
    for notice in message.notices:
        yield _cut(f"- {notice.at.astimezone():%H:%M:%S} {notice.text.of(language)}", LONGEST_LINE)
    told = {alarm.key for alarm in (*message.began, *message.lasting)}
    still = tuple(alarm for alarm in message.present if alarm.key not in told)
    groups = {"began": message.began, "lasting": message.lasting, "over": message.over, "still": still}
    for heading, alarms in groups.items():
        if alarms:
            yield f"{WORDS[heading].of(language)}:"
        for alarm in alarms:
            text = f"- {alarm.since.astimezone():%H:%M:%S} {alarm.title}: {alarm.text.of(language)}"
            yield _cut(text, LONGEST_LINE)
    if message.is_last:
        yield WORDS["last"].of(language)


def _cut(text: str, longest: int) -> str:
    """Return a text as one line for a header, shortened to `longest` characters."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[:longest]} ..."
