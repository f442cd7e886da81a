"""Process priority: a recorder runs before other programs, its sound in real time, as far as the system permits.

RLIMIT_NICE and RLIMIT_RTPRIO, or CAP_SYS_NICE, permit it. Nothing here raises. A process that was started nicer than
usual (`nice liput record`) asks for nothing.
"""

import os
import re
import resource
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from devices.host import threads

NICE = -5  # the recorder's niceness: three times the processor share of a usual program
NICEST = 19
SOUND_NICE = -10  # the niceness of audio readers without real-time priority, and of audio encoders
REALTIME = 5  # of 99; a sound server's own threads usually have more (PipeWire: 83 to 88)
OOM_SCORE = -500
RUNAWAY_S = (2.0, 3.0)  # CPU seconds without a pause until the kernel ends a real-time thread: SIGXCPU, then SIGKILL
SPINNING_S = (0.1, 0.1)  # the same, once the thread only waits for its device and its reader: SIGKILL at once

_GROUP, _OOM, _STATUS = Path("/proc/self/autogroup"), Path("/proc/self/oom_score_adj"), Path("/proc/self/status")
_CAP_SYS_NICE = 23
_USUAL = 0


class ProcessPriority(msgspec.Struct, frozen=True, kw_only=True):
    """The priority of a process.

    `nice` is its niceness, `group_nice` that of its session, where Linux shares processors among sessions first (else
    None). `realtime` is its sound's priority (0: none), `oom_score_adj` as in proc(5).
    """

    nice: int
    group_nice: int | None
    realtime: int
    oom_score_adj: int


def request_priority() -> ProcessPriority:
    """Request a recorder's priorities, before it has threads: threads and children inherit them."""
    _to_the_limits()
    if _is_usual():
        _be_less_nice(NICE)
        _write(_OOM, OOM_SCORE, _oom_score())
    granted = [0]
    if _is_usual():  # tried on a temporary thread, so that no scheduling remains
        threads.start_thread(lambda: granted.append(_try_realtime()), name="priority").join()
    return ProcessPriority(nice=_nice(), group_nice=_group_nice(), realtime=granted[-1], oom_score_adj=_oom_score())


def request_audio_priority(*, of_a_card: bool = True) -> str:
    """Request an audio reader's priority for this thread; return the result: `realtime`, `nice -10`, `nice 0`.

    Its later threads inherit it. With a sound server (not `of_a_card`) it is never real-time: PortAudio sometimes
    busy-waits for the server, and would take its processor.
    """
    _to_the_limits()
    if _is_usual():
        _end_after(RUNAWAY_S)
        if of_a_card and _try_realtime():
            return "realtime"
        _be_less_nice(SOUND_NICE)
    return f"nice {_nice()}"


def raise_thread_priority() -> None:
    """Raise this thread above the others of its process: a recorder may drop frames, but no sound.

    Not to real time: it would wait for Python threads that get no processor.
    """
    if _is_usual():
        _be_no_nicer_than(SOUND_NICE)


def limit_realtime_run() -> None:
    """Have the kernel kill this process when a real-time thread runs SPINNING_S without a pause.

    PortAudio busy-waits for an unplugged device.
    """
    _end_after(SPINNING_S)


def permitted_priority() -> ProcessPriority:
    """Return the result that `request_priority` would have in a process with the same permissions, without asking."""
    nice, realtime = _nice(), 0
    if nice <= _USUAL:
        may_all = _may_all()
        floor = -20 if may_all else 20 - _hard(resource.RLIMIT_NICE, 40)
        nice = min(nice, max(NICE, floor))
        realtime = REALTIME if may_all or _hard(resource.RLIMIT_RTPRIO, 99) >= REALTIME else 0
    return ProcessPriority(nice=nice, group_nice=_group_nice(), realtime=realtime, oom_score_adj=_oom_score())


def _is_usual() -> bool:
    return _nice() <= _USUAL and os.sched_getscheduler(0) == os.SCHED_OTHER


def _nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def _to_the_limits() -> None:
    """Raise the soft limits, which count, to the hard ones."""
    for limit in (resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO):
        _, hard = resource.getrlimit(limit)
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (hard, hard))


def _be_no_nicer_than(wanted: int) -> None:
    """Lower this thread's niceness towards `wanted`, as far as permitted."""
    for nice in range(wanted, _nice()):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
            break


def _be_less_nice(wanted: int) -> None:
    """Lower the niceness towards `wanted`, as far as permitted; that of the process session too, if it is its own."""
    _be_no_nicer_than(wanted)
    if os.getsid(0) == os.getpid() and _group_nice() is not None:
        _write(_GROUP, _nice(), _group_nice() or 0)


def _try_realtime() -> int:
    """Give this thread real-time priority and return it; 0 where that is refused."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REALTIME))
    except OSError:
        return 0
    return REALTIME


def _end_after(seconds: tuple[float, float]) -> None:
    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_RTTIME)
        soft_us, hard_us = (round(each * 1_000_000) for each in seconds)
        if most != resource.RLIM_INFINITY:
            soft_us, hard_us = min(soft_us, most), min(hard_us, most)
        resource.setrlimit(resource.RLIMIT_RTTIME, (soft_us, hard_us))


def _may_all() -> bool:
    with suppress(OSError, AttributeError, ValueError):
        found = re.search(r"^CapEff:\s*([0-9a-f]+)", _STATUS.read_text(), re.MULTILINE)
        return bool(found and int(found[1], 16) >> _CAP_SYS_NICE & 1)
    return False


def _hard(limit: int, most: int) -> int:
    _, hard = resource.getrlimit(limit)
    return most if hard == resource.RLIM_INFINITY else hard


def _group_nice() -> int | None:
    with suppress(OSError):
        found = re.search(r"nice (-?\d+)", _GROUP.read_text())
        return int(found[1]) if found else None
    return None


def _oom_score() -> int:
    with suppress(OSError, ValueError):
        return int(_OOM.read_text())
    return 0


def _write(path: Path, wanted: int, now: int) -> None:
    """Write a smaller value than the current one, where permitted."""
    if now > wanted:
        with suppress(OSError):
            path.write_text(str(wanted))


def lower_priority(by: int) -> None:
    """Raise the niceness of this thread and its later threads by `by`."""
    ensure_niceness(_nice() + by)


def ensure_niceness(nice: int) -> None:
    """Make this thread and its later threads at least so nice, regardless of the recorder's priority."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(NICEST, max(nice, _nice())))
