"""What is told while a session is sealed."""

from recorder.archive.model import RecordingFacts
from recorder.storing.sealing import Sealer
from recorder.storing.telling import Teller
from tests.support import archives
from tests.support.simulated import EventList, SimulatedClock


def test_how_far_sealing_is_is_told_ten_times_a_second_at_most() -> None:
    clock, told = SimulatedClock(), list[tuple[int, int]]()
    facts = RecordingFacts(ended_at=archives.STARTED)
    sealer = Sealer(clock, Teller(EventList()), facts, lambda *far: told.append(far))
    for done in range(1, 1001):
        sealer._advance(done, 1000)
        clock.advance_to(clock.now_ns() + 1_000_000)
    assert told[0] == (1, 1000)
    assert told[-1] == (1000, 1000)
    assert len(told) == 11
