"""Which of the machines' tests a run of all tests does, and how the machines share them."""

from tests.rig.sampling import SAMPLE_S, cost, sampled, shared

SHORT = [f"tests/rig/guest/guest_devices.py::test_{number}" for number in range(19)]
LONG = [f"tests/rig/guest/guest_storage.py::test_disk[{number}]" for number in range(20)]
SESSIONS = [f"tests/rig/guest/guest_record.py::test[{number}]" for number in range(4)]


def test_a_seed_decides_and_every_test_has_its_turn_within_the_time_of_a_sample() -> None:
    every = [*SHORT, *LONG, *SESSIONS]
    assert sampled(every, "a") == sampled(reversed(every), "a")
    chosen = [sampled(every, str(seed)) for seed in range(300)]
    assert set().union(*chosen) == set(every)
    assert max(sum(map(cost, its)) for its in chosen) <= SAMPLE_S
    assert all(len({test.partition("::")[0] for test in its}) > 1 for its in chosen)


def test_machines_share_by_how_long_it_takes_and_no_file_is_parted() -> None:
    shares = shared([*SHORT, *LONG, *SESSIONS], 2)
    assert [sorted(its) for its in shares] == [sorted(LONG), sorted([*SHORT, *SESSIONS])]
    assert len(shared([*SHORT, *LONG], 1)) == len(shared(LONG, 2)) == len(shared([*SHORT[:9], *LONG[:3]], 2)) == 1
    assert shared([], 2) == []
