"""What is said of this PC: each trouble for its own reason, on trees, buses and samples of its own."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.checks.check import CheckResult, CheckVerdict
from agent.checks.kinds import computer
from agent.checks.kinds.computer import NAME, clock, heat, look, memory, power, processor, restart, scheduling, sleep
from devices.health.computer import ComputerSample
from devices.host import priority
from devices.host.priority import NICE, REALTIME, ProcessPriority
from tests.support.buses import logind, private_bus, screensaver
from tests.support.situations import codes, situation

WELL = ComputerSample(memory_available=6_000_000_000, memory_total=8_000_000_000, temperature_c=55.0)
GRANTED = ProcessPriority(nice=NICE, group_nice=None, realtime=REALTIME, oom_score_adj=0)
IDLE = {"sshd": 3.0, "firefox": 9.0}


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with private_bus(tmp_path / "bus") as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus)
        yield bus


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this PC be well in all that a test cannot arrange."""
    monkeypatch.setattr(computer, "other_programs_load", lambda *_: IDLE)
    monkeypatch.setattr(computer, "clock_error_s", lambda: 0.01)
    monkeypatch.setattr(priority, "permitted_priority", lambda: GRANTED)
    monkeypatch.setattr(computer, "read_sample", lambda: WELL)
    monkeypatch.setattr(computer, "AWAKE_S", 60.0)  # beside other tests it takes longer than on a free PC


@pytest.fixture(autouse=True)
def told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be told of this PC."""
    for name in ("sys", "run", "modules"):
        monkeypatch.setattr(computer, name.upper(), tmp_path / name)
    monkeypatch.setattr("platform.release", lambda: "6.12")


def but(**changes: object) -> ComputerSample:
    return msgspec.structs.replace(WELL, **changes)


@pytest.mark.usefixtures("calm")
def test_a_pc_that_is_well(bus: str) -> None:
    with logind(bus) as login, screensaver(bus) as desktop:
        results = list(look(situation()))
    parts = ["memory", "processor", "heat", "power", "clock", "priority", "sleep", "restart"]
    assert codes(results) == [(f"{NAME}: {part}", "ok") for part in parts]
    assert all(result.verdict is CheckVerdict.OK for result in results)
    assert len(login.asked) == 2
    assert len(desktop.asked) == 1


def one(result: CheckResult) -> tuple[str, CheckVerdict]:
    return result.code, result.verdict


def test_little_memory_a_busy_processor_and_a_wrong_clock_are_told() -> None:
    assert one(memory(but(memory_available=640_000_000))) == ("low-memory", CheckVerdict.WARNING)
    assert one(memory(but(memory_available=820_000_000))) == ("ok", CheckVerdict.OK)
    result = processor({"sshd": 11.0, "chrome": 60.0})
    assert one(result) == ("busy-processor", CheckVerdict.WARNING)
    assert result.advice.english == "Close chrome if it is not needed."
    assert one(processor(IDLE)) == ("ok", CheckVerdict.OK)
    assert one(clock(16.0)) == ("clock-unsynchronised", CheckVerdict.WARNING)
    assert one(clock(0.3)) == ("ok", CheckVerdict.OK)
    assert one(clock(None)) == ("clock-unknown", CheckVerdict.UNCHECKED)


def test_heat_limits_and_the_battery_are_told_apart() -> None:
    assert heat(WELL, 3, 4, 1.0).code == "throttled"
    assert heat(but(temperature_c=93.0), 3, 3, 1.0).code == "hot"
    assert heat(WELL, None, None, 0.6).code == "limited"
    assert heat(WELL, None, None, 0.95).code == "ok"
    assert heat(but(temperature_c=None), None, None, None).code == "ok"
    assert one(power(but(plugged_in=True, battery_percent=3.0))) == ("ok", CheckVerdict.OK)
    assert one(power(but(plugged_in=False, battery_percent=80.0))) == ("on-battery", CheckVerdict.WARNING)
    assert one(power(but(plugged_in=False, battery_percent=39.0))) == ("battery-low", CheckVerdict.FAILURE)


def test_a_core_slowed_meanwhile_is_seen(calm: None, bus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    count.parent.mkdir(parents=True)
    count.write_text("7\n")

    def heats_up(*_: object) -> dict[str, float]:
        count.write_text("8\n")
        return IDLE

    monkeypatch.setattr(computer, "other_programs_load", heats_up)
    assert (f"{NAME}: heat", "throttled") in codes(list(look(situation())))


@pytest.mark.usefixtures("calm")
def test_who_may_not_keep_the_pc_awake_is_told(bus: str) -> None:
    with logind(bus, "Permission denied"), screensaver(bus) as desktop:
        found = [result.code for result in look(situation()) if result.name == f"{NAME}: sleep"]
    assert found == ["may-sleep", "may-lid"]
    assert len(desktop.asked) == 1
    assert [result.code for result in sleep(None)] == ["sleep-unknown"], "nobody has answered"
    assert [result.code for result in sleep(frozenset({"lock"}))] == ["may-lock"]


def test_a_restart_that_an_update_has_asked_for_or_that_drivers_need_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/reboot-required").touch()
    assert [one(result) for result in restart()] == [("restart", CheckVerdict.WARNING)]
    (tmp_path / "modules/6.13/kernel").mkdir(parents=True)
    assert [one(result) for result in restart()] == [("drivers-gone", CheckVerdict.FAILURE)]


def test_what_a_recorder_may_ask_for_is_said_with_who_grants_it() -> None:
    assert one(scheduling(GRANTED)) == ("ok", CheckVerdict.OK)
    without = scheduling(msgspec.structs.replace(GRANTED, realtime=0))
    assert one(without) == ("ok-no-realtime", CheckVerdict.OK)
    ordinary = scheduling(msgspec.structs.replace(GRANTED, nice=0))
    assert one(ordinary) == ("ok-ordinary", CheckVerdict.OK), "also where sound may be real-time"
    assert ordinary.measured == {"nice": 0, "realtime": REALTIME}
    assert "liput service install" in ordinary.for_it.english
    assert "liput service install" in without.for_it.indonesian
    assert "(nice 7)" in scheduling(msgspec.structs.replace(GRANTED, nice=7)).reason.english
