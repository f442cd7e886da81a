"""Whether this PC is fit for a session: memory, processor, heat, mains, clock, sleep and lock, pending restarts."""

import platform
from collections.abc import Iterator, Mapping

from agent.checks.check import Check, CheckContext, CheckResult, Measured, findings, make_result
from config.locale.lookup import words
from config.locale.number_format import in_each, size
from devices.health.computer import (
    LOW_MEMORY,
    MODULES,
    RUN,
    SYS,
    ComputerSample,
    are_drivers_removed,
    is_restart_required,
    other_programs_load,
    read_sample,
    speed_limit,
    throttle_count,
)
from devices.host import priority
from devices.host.clock import SYNCHRONISED_WITHIN_S, clock_error_s
from devices.host.priority import NICE, REALTIME, ProcessPriority
from devices.host.sleep_inhibitor import InhibitedEvent, SleepInhibitor
from recorder.running import runtime_directory

CODES = findings("check-computer")

NAME = "pc"
OVER_S = 1.0
BUSY_PERCENT = 50.0  # limit for other programs: an encoder of 1080p30 needs the other half of a common PC
HOT_C = 90.0
LIMITED = 0.9
BATTERY_LOW_PERCENT = 40.0  # about an hour of recording on a laptop
AWAKE_S = 3.0
_AWAKE: Mapping[InhibitedEvent, str] = {"sleep": "may-sleep", "lid": "may-lid", "lock": "may-lock"}


def look(situation: CheckContext) -> Iterator[CheckResult]:
    """Yield results for this PC; none once `stop` is set."""
    with SleepInhibitor("Liput", "liput check", lambda _sentence: None) as awake:
        slowed = throttle_count(SYS)
        load = other_programs_load(
            OVER_S, situation.stop, [info.pid for _, info in runtime_directory.alive_recorders()]
        )
        if load is None:
            return
        sample = read_sample()
        yield memory(sample)
        yield processor(load)
        yield heat(sample, slowed, throttle_count(SYS), speed_limit(SYS))
        yield power(sample)
        yield clock(clock_error_s())
        yield scheduling(priority.permitted_priority())
        yield from sleep(awake.refused(AWAKE_S))
    yield from restart()


def memory(sample: ComputerSample) -> CheckResult:
    free, total = in_each(size, sample.memory_available), in_each(size, sample.memory_total)
    is_low = sample.memory_available < LOW_MEMORY * sample.memory_total
    measured = {"free_bytes": sample.memory_available, "total_bytes": sample.memory_total}
    return _found("low-memory" if is_low else "ok", "memory", measured, f"{free} / {total}", free=free, total=total)


def processor(load: Mapping[str, float]) -> CheckResult:
    """Judge the processor time of other programs, in per cent by program name."""
    busiest = max(load, key=lambda name: load[name], default="")
    percent = round(min(100.0, sum(load.values())), 1)
    code = "busy-processor" if percent > BUSY_PERCENT else "ok"
    measured = {"others_percent": percent, "busiest_percent": round(load.get(busiest, 0.0), 1)}
    return _found(code, "processor", measured, f"{percent:.0f} %", percent=percent, program=busiest)


def heat(sample: ComputerSample, before: int | None, after: int | None, limit: float | None) -> CheckResult:
    """Judge the heat: `before` and `after` count throttled cores, `limit` is the allowed share of full speed."""
    degrees = sample.temperature_c
    measured = {"temperature_c": degrees, "limit_percent": None if limit is None else round(100 * limit)}
    if before is not None and after is not None and after > before:
        return _found("throttled", "heat", measured)
    if degrees is not None and degrees >= HOT_C:
        return _found("hot", "heat", measured, degrees=degrees)
    if limit is not None and limit < LIMITED:
        return _found("limited", "heat", measured, percent=100 * limit)
    return _found("ok", "heat", measured, "" if degrees is None else f"{degrees:.0f} °C")


def power(sample: ComputerSample) -> CheckResult:
    """Judge the mains supply; a PC without a battery has one."""
    percent = sample.battery_percent
    measured = {"battery_percent": percent, "plugged_in": sample.plugged_in}
    if sample.plugged_in is not False:
        return _found("ok", "power", measured)
    code = "on-battery" if percent is None or percent >= BATTERY_LOW_PERCENT else "battery-low"
    return _found(code, "power", measured, left="?" if percent is None else f"{percent:.0f} %")


def clock(off_s: float | None) -> CheckResult:
    if off_s is None:
        return _found("clock-unknown", "clock")
    code = "ok" if off_s < SYNCHRONISED_WITHIN_S else "clock-unsynchronised"
    return _found(code, "clock", {"most_off_s": off_s}, f"± {off_s:.1g} s")


def scheduling(may: ProcessPriority) -> CheckResult:
    """Judge the recorder's scheduling priority: niceness, and realtime for sound."""
    measured = {"nice": may.nice, "realtime": may.realtime}
    if may.nice > NICE:
        return _found("ok-ordinary", "priority", measured, nice=may.nice)
    return _found("ok" if may.realtime >= REALTIME else "ok-no-realtime", "priority", measured, f"nice {may.nice}")


def sleep(refused: frozenset[InhibitedEvent] | None) -> Iterator[CheckResult]:
    """Judge whether the PC stays awake; `refused` events cannot be prevented, None: not known."""
    if refused is None:
        yield _found("sleep-unknown", "sleep")
    elif refused:
        yield from (_found(_AWAKE[what], "sleep") for what in _AWAKE if what in refused)
    else:
        yield _found("ok", "sleep")


def restart() -> Iterator[CheckResult]:
    if are_drivers_removed(MODULES, platform.release()):
        yield _found("drivers-gone", "restart")
    elif is_restart_required(RUN):
        yield _found("restart", "restart")
    else:
        yield _found("ok", "restart")


def _found(code: str, what: str, measured: Measured | None = None, figure: str = "", **facts: object) -> CheckResult:
    return make_result(CODES, code, f"{NAME}: {what}", measured, figure=f": {figure}" if figure else "", **facts)


CHECKS = [Check(NAME, words("check-computer")["this-pc"], look, CODES, place=70)]
