"""Events that come too often: the log has the first, one now and then and the last, and says what it left out."""

from datetime import UTC, datetime, timedelta

from config.events import Event
from recorder.model.eventlog import AT_ONCE, EVENTS_LEFT_OUT, MOST_KNOWN, PER_S, Repeats

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def event(kind: str, subject: str, at_s: float, number: int = 0) -> Event:
    return Event(NOON + timedelta(seconds=at_s), kind, subject, {"number": number}, "")


def number(one: Event) -> object:
    return one.detail["number"]


def flood(repeats: Repeats, count: int, *, from_s: float = 0.0, per_s: float = 100.0) -> list[Event]:
    """Return what is logged of so many of one kind."""
    times = [from_s + place / per_s for place in range(count)]
    events = [event("source-lost", "podium", at_s, place) for place, at_s in enumerate(times)]
    return [logged for one, at_s in zip(events, times, strict=True) for logged in repeats.take(one, at_s)]


def test_what_comes_now_and_then_is_logged_at_once_and_as_it_is() -> None:
    repeats = Repeats()
    count = int(4 * AT_ONCE)
    events = [event("frames-dropped", "podium", 5 * place, place) for place in range(count)]
    assert [repeats.take(one, 5.0 * place) for place, one in enumerate(events)] == [[one] for one in events]
    assert repeats.rest() == []


def test_of_a_flood_the_first_and_the_last_are_logged_and_the_number_of_those_between() -> None:
    repeats, count = Repeats(), 1000
    logged = flood(repeats, count, per_s=1e6)
    assert [number(one) for one in logged] == list(range(int(AT_ONCE)))
    told, last = repeats.rest()
    assert (told.kind, told.subject) == (EVENTS_LEFT_OUT, "podium")
    assert told.detail == {"what": "source-lost", "count": count - int(AT_ONCE) - 1}
    assert number(last) == count - 1
    assert repeats.rest() == []


def test_a_flood_that_lasts_is_thinned_to_a_few_lines_and_none_is_uncounted() -> None:
    repeats, seconds = Repeats(), 400
    logged = [*flood(repeats, seconds * 100), *repeats.rest()]
    assert len(logged) <= AT_ONCE + 3 * (seconds * PER_S + 1)
    left_out = sum(int(str(one.detail["count"])) for one in logged if one.kind == EVENTS_LEFT_OUT)
    assert left_out + sum(one.kind != EVENTS_LEFT_OUT for one in logged) == seconds * 100
    assert [one.at for one in logged] == sorted(one.at for one in logged)


def test_the_last_of_a_flood_is_logged_when_there_is_room_though_nothing_more_comes() -> None:
    repeats = Repeats()
    flood(repeats, int(AT_ONCE) + 10, per_s=1e6)
    assert repeats.due(1.0) == []
    told, last = repeats.due(1.0 + 1 / PER_S)
    assert (told.detail["count"], number(last)) == (9, AT_ONCE + 9)
    assert repeats.due(100.0) == []


def test_another_kind_of_the_same_subject_comes_behind_what_was_kept_back_of_it() -> None:
    repeats = Repeats()
    flood(repeats, int(AT_ONCE) + 1, per_s=1e6)
    returned = event("source-returned", "podium", 0.1)
    other = event("source-returned", "slides", 0.1)
    assert repeats.take(other, 0.1) == [other]
    kept_back, then = repeats.take(returned, 0.1)
    assert (kept_back.kind, number(kept_back), then) == ("source-lost", AT_ONCE, returned)


def test_more_subjects_than_can_be_told_apart_are_logged_and_the_oldest_is_forgotten() -> None:
    repeats = Repeats()
    flood(repeats, int(AT_ONCE) + 5, per_s=1e6)
    logged = [one for place in range(MOST_KNOWN) for one in repeats.take(event("mark", str(place), 1.0, place), 1.0)]
    assert [one.kind for one in logged] == ["mark"] * MOST_KNOWN + [EVENTS_LEFT_OUT, "source-lost"]
    assert repeats.rest() == []
