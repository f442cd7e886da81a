"""Which of the machines' tests a run of all tests does."""

from tests.rig.sampling import OF_LONG_ONE_IN, ONE_IN, sampled, weight

SHORT = [f"tests/rig/guest/guest_rig.py::test_{number}" for number in range(19)]
LONG = [f"tests/rig/guest/guest_storage.py::test_disk[{number}]" for number in range(25)]
SESSIONS = [
    f"tests/rig/guest/guest_{name}.py::test[{number}]" for name in ("conference", "session_health") for number in (1, 2)
]
ALONE = ["tests/rig/guest/guest_session_survives.py::test_one"]


def test_at_most_a_ninth_of_an_ordinary_file_runs_and_of_a_long_one_a_twelfth_and_of_each_something() -> None:
    chosen = sampled([*SHORT, *LONG, *ALONE], "a")
    assert chosen >= set(ALONE)
    assert len(chosen & set(SHORT)) == 2
    assert len(chosen & set(LONG)) == 2


def test_files_of_whole_sessions_have_turns_and_each_of_their_tests_has_one() -> None:
    chosen = [sampled([*SHORT, *SESSIONS], str(seed)) - set(SHORT) for seed in range(200)]
    assert {len(its) for its in chosen} == {1}
    assert set().union(*chosen) == set(SESSIONS)


def test_a_seed_decides_and_its_order_does_not() -> None:
    assert sampled(LONG, "a") == sampled(reversed(LONG), "a")
    assert len({frozenset(sampled(LONG, str(seed))) for seed in range(20)}) > 10


def test_every_test_has_its_turn() -> None:
    seen = set().union(*(sampled([*SHORT, *LONG], str(seed)) for seed in range(20 * max(ONE_IN, OF_LONG_ONE_IN))))
    assert seen == {*SHORT, *LONG}


def test_files_are_told_by_their_whole_name() -> None:
    assert weight("tests/rig/guest/guest_check_media.py::test_x") == 5
    assert weight("tests/rig/guest/guest_check.py::test_x") == 3
    assert weight("tests/rig/guest/guest_devices.py::test_guest_storage") == 1
