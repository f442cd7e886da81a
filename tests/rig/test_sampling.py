"""Which of the machines' tests a run of all tests does, and how the machines share them."""

from tests.rig.sampling import ENOUGH_FOR_ONE, OF_LONG_ONE_IN, ONE_IN, sampled, shared, weight

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


def test_one_machine_does_what_is_little_and_two_what_is_more() -> None:
    little = [f"tests/rig/guest/guest_{number % 2}.py::test[{number}]" for number in range(ENOUGH_FOR_ONE)]
    assert [sorted(its) for its in shared(little, 2)] == [sorted(little)]
    more = shared([*little, "tests/rig/guest/guest_rig.py::test_one"], 2)
    assert [len(its) for its in more] == [25, 24]
    assert len(shared([*little, *little], 1)) == 1


def test_machines_share_by_how_long_it_takes_and_no_file_is_parted() -> None:
    shares = shared([*SHORT, *LONG, *SESSIONS], 2)
    assert sorted(test for its in shares for test in its) == sorted([*SHORT, *LONG, *SESSIONS])
    files = [{test.partition("::")[0] for test in its} for its in shares]
    assert not files[0] & files[1]
    assert [sum(map(weight, its)) for its in shares] == [100, 55]  # the disks; all others
    assert len(shared([*LONG, *LONG], 2)) == 1  # a file has one machine
    assert shared([], 2) == []
