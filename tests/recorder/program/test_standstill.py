"""Whether a PC stood still, told by when somebody looked at a source."""

from recorder.program.standstill import IN_VAIN_NS, LOOK_NS, MOST_EXCUSED_NS, STOOD_NS, StallDetector

STEP_NS = 20_000_000


def stood(at_ns: int = 10 * STOOD_NS) -> StallDetector:
    """Return one that has just seen its PC stand still, up to `at_ns`."""
    standstill = StallDetector()
    standstill.look(0, came=True)
    assert standstill.look(at_ns, came=False) == at_ns
    assert standstill.is_excused
    return standstill


def test_who_looks_often_enough_does_not_stand_still() -> None:
    standstill = StallDetector()
    for number in range(5):
        assert standstill.look(7 * STOOD_NS + number * STOOD_NS, came=number % 2 == 0) == 0
        assert not standstill.is_excused


def test_a_source_is_excused_until_it_was_waited_for_in_vain() -> None:
    at_ns = 10 * STOOD_NS
    standstill = stood(at_ns)
    for _ in range(IN_VAIN_NS // STEP_NS - 1):
        at_ns += STEP_NS
        assert standstill.look(at_ns, came=False) == 0
        assert standstill.is_excused
    at_ns += STEP_NS
    standstill.look(at_ns, came=False)
    assert not standstill.is_excused
    standstill.look(at_ns + STEP_NS, came=True)
    assert not standstill.is_excused, "it has nothing of before any more"


def test_what_comes_says_that_there_may_be_more() -> None:
    at_ns = 10 * STOOD_NS
    standstill = stood(at_ns)
    for _ in range(3):
        for came in (False, False, False, False, True):
            at_ns += STEP_NS
            standstill.look(at_ns, came=came)
            assert standstill.is_excused


def test_one_look_in_vain_is_not_enough_however_long_it_took() -> None:
    at_ns = 10 * STOOD_NS
    standstill = stood(at_ns)
    standstill.look(at_ns + STOOD_NS, came=False)
    assert standstill.is_excused
    standstill.look(at_ns + STOOD_NS + LOOK_NS, came=False)
    assert not standstill.is_excused


def test_a_source_that_gives_little_by_little_is_not_excused_for_ever() -> None:
    at_ns = first_ns = 10 * STOOD_NS
    standstill = stood(at_ns)
    while standstill.is_excused:
        at_ns += STEP_NS
        standstill.look(at_ns, came=True)
    assert at_ns - first_ns == MOST_EXCUSED_NS


def test_who_stands_still_again_has_all_the_time_again() -> None:
    standstill = stood(10 * STOOD_NS)
    standstill.look(10 * STOOD_NS + IN_VAIN_NS - 1, came=False)
    assert standstill.look(20 * STOOD_NS, came=False) == 10 * STOOD_NS - IN_VAIN_NS + 1
    standstill.look(20 * STOOD_NS + LOOK_NS, came=False)
    assert standstill.is_excused
