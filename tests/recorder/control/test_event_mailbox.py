"""What is told a thread that hangs: bounded, the newest is there, and it is known how much is missing."""

import json
from datetime import UTC, datetime

from config.events import Event
from recorder.control.protocol import Failure, Note, Sealing
from recorder.control.server import EventMailbox
from recorder.eventlog import History

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def event(number: int, **more: object) -> Event:
    return Event(NOON, "mark", str(number), more, "told")


def subjects(lines: list[bytes]) -> list[int]:
    return [int(json.loads(line)["subject"]) for line in lines]


def test_what_is_told_is_taken_once_in_its_order_and_of_sealing_the_newest() -> None:
    tellings = EventMailbox()
    for what in (event(0), Sealing(done=1, total=9), Note(text="hello"), Sealing(done=5, total=9), event(1)):
        tellings.put(what)
    tellings.put(Failure(message="no disk", hint="free some"))
    taken = tellings.take()
    kinds = [json.loads(line)["type"] for line in taken.happened]
    assert (kinds, taken.missing) == (["event", "note", "event"], 0)
    assert taken.sealing is not None
    assert json.loads(taken.sealing)["done"] == 5
    assert taken.end is not None
    assert json.loads(taken.end)["message"] == "no disk"
    assert not tellings.take()


def test_of_more_than_there_is_room_for_the_oldest_go_and_are_counted() -> None:
    size = len(json.dumps({})) + 100
    tellings = EventMailbox(most_bytes=10 * size)
    for number in range(1000):
        tellings.put(event(number))
    taken = tellings.take()
    kept = subjects([*taken.happened])
    assert kept == list(range(1000 - len(kept), 1000))
    assert sum(map(len, taken.happened)) <= 10 * size
    assert 0 < len(kept) == 1000 - taken.missing
    for number in range(3):  # what was taken is not counted any more
        tellings.put(event(number))
    assert subjects([*tellings.take().happened]) == [0, 1, 2]


def test_who_has_read_up_to_what_is_missing_is_behind_and_who_comes_anew_is_not() -> None:
    history = History()
    for number in range(5):
        history.add(b"%d\n" % number)
    history.pass_over(0)
    assert (history.first, history.end) == (0, 5)
    history.pass_over(7)
    history.add(b"12\n")
    assert (history.first, history.end) == (12, 13)
    assert history.batch(12, 1000) == (b"12\n", 13)


def test_an_event_whose_detail_is_no_json_raises_nothing_where_it_happened() -> None:
    tellings = EventMailbox()
    tellings.put(event(0, what=object()))
    (line,) = tellings.take().happened
    assert json.loads(line)["detail"] == {}
