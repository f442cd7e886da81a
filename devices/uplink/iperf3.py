"""Measuring with an iperf3 server, by the iperf3 program: rates, and the round trips that it saw meanwhile."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import IO

import msgspec
import psutil

from devices.tied import tied
from devices.uplink.connecting import Patience, resolve
from devices.uplink.model import STEP_S, Budget, Latency, Rate, Step, Tell, Uplink
from devices.uplink.network import interface_to
from devices.uplink.server import Server
from devices.uplink.trouble import NetworkTrouble, Stopped, Trouble

PROGRAM = "iperf3"
REACH_S = 7.0
LONGEST_S = 19.5
"""For the whole: the way down gets what is left of it."""
CONNECT_MS = 3500
_LITTLE_BYTES = 1000
_BLOCK_BYTES = 8192
"""It counts whole blocks: its own 128 kB at once are 2 Mbit/s, in a window of half a second."""
_TRIES, _BETWEEN_S = 4, 0.5
"""After a run it is a moment until the server takes the next."""
_LOOK_S = 0.01
"""So often is looked how much has moved: in that time a gigabit moves another megabyte."""
_TO_END_S = 2.0
"""How long the program may take to say what it found once it was told to end."""
_MOST_SPARED_S = 2.0
"""What the way up gives to the way down where the way is long: as much as it took to get there."""
_AROUND_S, _LONGEST_AROUND_S = 2.0, 3.0
"""What a run takes beside the time that it measures, on a long way, and where what it says on that is lost and sent
again: it is told to end then."""
_STALLED_STEPS = 6
_SEGMENT_BYTES = 1448
_MICROSECONDS = 1_000_000
_REACHED, _UP = 0.1, 0.6
_SAID = (
    ("busy", Trouble.BUSY),
    ("refused", Trouble.REFUSED),
    ("unreachable", Trouble.NO_ROUTE),
    ("No route", Trouble.NO_ROUTE),
    ("timed out", Trouble.TIMEOUT),
    ("in progress", Trouble.TIMEOUT),
    ("cookie", Trouble.FOREIGN),
    ("control message", Trouble.FOREIGN),
)
"""What the program says, in English, and what that means."""


class _Stream(msgspec.Struct):
    rtt: float | None = None
    retransmits: int | None = None
    mean_rtt: float | None = None


class _Sum(msgspec.Struct):
    seconds: float
    bytes: int
    bits_per_second: float
    omitted: bool = False


class _Interval(msgspec.Struct):
    sum: _Sum
    streams: Sequence[_Stream] = ()


class _EndStream(msgspec.Struct):
    sender: _Stream = msgspec.field(default_factory=_Stream)


class _End(msgspec.Struct):
    streams: Sequence[_EndStream] = ()
    sum_received: _Sum | None = None


class _Report(msgspec.Struct):
    """What the program prints; `is_capped`: it was ended sooner because of the data that it takes."""

    intervals: Sequence[_Interval] = ()
    end: _End = msgspec.field(default_factory=_End)
    error: str = ""
    is_capped: bool = False


@dataclass(frozen=True, slots=True)
class _Limits:
    """How long a run may take, in seconds, and how much may move meanwhile through an interface (None: through all)."""

    interface: str | None
    seconds: float
    most_bytes: int


def measure(server: Server, budget: Budget, stop: threading.Event, tell: Tell) -> Uplink:
    """Measure both ways, and the latency before and meanwhile. Raises NetworkTrouble and Stopped."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise NetworkTrouble(Trouble.NO_PROGRAM, PROGRAM)
    tell(Step("reach", 0.0))
    began = time.monotonic()
    addresses = resolve(server.host, server.port, Patience.of(REACH_S, stop))
    limits = partial(_Limits, interface_to(addresses[0][4][0]))
    words = [program, "--client", server.host, "--port", str(server.port), "--parallel", str(budget.streams)]
    words += ["--json", "--interval", str(STEP_S), "--connect-timeout", str(CONNECT_MS)]
    words += ["--length", str(_BLOCK_BYTES)]
    little = _run([*words, "--bytes", str(_LITTLE_BYTES)], limits(REACH_S, budget.most_bytes), stop)
    idle = _latency([each.sender.mean_rtt for each in little.end.streams])
    up_s = budget.up_s - min(_MOST_SPARED_S, time.monotonic() - began)
    up_words = [*words, *_for(up_s, budget.warm_up_s)]
    up = _measured(up_words, limits(up_s, budget.up_bytes), stop, _told(tell, "up", _REACHED, _UP))
    down_s = min(budget.down_s, LONGEST_S - _AROUND_S - (time.monotonic() - began))
    left, down = limits(down_s, budget.most_bytes - _moved(up)), None
    if left.most_bytes > 0:
        down_words = [*words, "--reverse", *_for(down_s, budget.warm_up_s)]
        down = _measured(down_words, left, stop, _told(tell, "down", _UP, 1.0))
    again = sum(each.retransmits or 0 for interval in up.intervals for each in interval.streams)
    return Uplink(
        up=_arrived(up),
        down=_rate(down) if down else None,
        idle=idle,
        loaded=_latency([each.rtt for interval in _steady(up) for each in interval.streams]),
        again_share=min(1.0, again * _SEGMENT_BYTES / max(1, _moved(up))),
        moved_bytes=_moved(up) + (_moved(down) if down else 0),
        streams=budget.streams,
        is_capped=up.is_capped or down is None or down.is_capped,
    )


def _for(seconds: float, warm_up_s: float) -> Sequence[str]:
    """Return the words for so many seconds in all; it takes whole ones."""
    omitted = round(min(warm_up_s, max(0.0, seconds / 2)))
    return "--time", str(max(1, round(seconds) - omitted)), "--omit", str(omitted)


def _measured(words: Sequence[str], limits: _Limits, stop: threading.Event, tell: Callable[[float], None]) -> _Report:
    """Let it run within its limits. Raises NetworkTrouble, also where nothing moved at the end, and Stopped."""
    report = _run_next(words, limits, stop, tell)
    last = report.intervals[-_STALLED_STEPS:]
    if len(last) == _STALLED_STEPS and not any(interval.sum.bytes for interval in last):
        raise NetworkTrouble(Trouble.STALLS)
    if not report.intervals:
        raise NetworkTrouble(Trouble.CLOSED)
    return report


def _run_next(words: Sequence[str], limits: _Limits, stop: threading.Event, tell: Callable[[float], None]) -> _Report:
    """Run the program as soon as the server is done with the run before. Raises NetworkTrouble and Stopped."""
    for _ in range(_TRIES - 1):
        try:
            return _run(words, limits, stop, tell)
        except NetworkTrouble as error:
            if error.trouble not in (Trouble.BUSY, Trouble.FOREIGN):
                raise
        if stop.wait(_BETWEEN_S):
            raise Stopped
    return _run(words, limits, stop, tell)


def _run(
    words: Sequence[str], limits: _Limits, stop: threading.Event, tell: Callable[[float], None] = lambda _share: None
) -> _Report:
    """Run the program, and tell it to end where it exceeds its limits. Raises NetworkTrouble and Stopped."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            tied(words),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"LC_ALL": "C"},
            start_new_session=True,  # Ctrl-C is for whoever has started it, who ends it then
        )
        try:
            has_ended = _wait(process, limits, stop, tell)
        finally:
            process.kill()
            process.wait()
        report = _read(said, was_told=has_ended is not _Ended.BY_ITSELF)
        return msgspec.structs.replace(report, is_capped=has_ended is _Ended.BY_DATA)


class _Ended(Enum):
    """Why the program has ended: it was done, or it took too long, or too much."""

    BY_ITSELF = auto()
    BY_TIME = auto()
    BY_DATA = auto()


def _wait(
    process: "subprocess.Popen[bytes]", limits: _Limits, stop: threading.Event, tell: Callable[[float], None]
) -> _Ended:
    """Wait for its end, and return why it came. Raises Stopped, and NetworkTrouble where it does not end."""
    began, before, has_ended = time.monotonic(), _moved_by(limits.interface), _Ended.BY_ITSELF
    until = began + limits.seconds + _LONGEST_AROUND_S
    while process.poll() is None:
        now = time.monotonic()
        tell(min(1.0, (now - began) / limits.seconds))
        if has_ended is _Ended.BY_ITSELF:
            has_ended = _Ended.BY_TIME if now >= until else has_ended
            has_ended = _Ended.BY_DATA if _moved_by(limits.interface) - before >= limits.most_bytes else has_ended
            if has_ended is not _Ended.BY_ITSELF:
                process.send_signal(signal.SIGINT)
                until = now + _TO_END_S
        elif now >= until:
            raise NetworkTrouble(Trouble.STALLS)
        if stop.is_set():
            raise Stopped
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
    return has_ended


def _moved_by(interface: str | None) -> int:
    """Return how many bytes an interface has sent, or received where that is more; None: all interfaces together.

    The program takes no bound beside a time. What others move meanwhile counts too; that errs on the side of those who
    pay for it.
    """
    counters = psutil.net_io_counters(pernic=True).get(interface or "") or psutil.net_io_counters()
    return max(counters.bytes_sent, counters.bytes_recv)


def _read(said: IO[bytes], *, was_told: bool) -> _Report:
    """Return what it found; one that was told to end calls that an error. Raises NetworkTrouble."""
    said.seek(0)
    try:
        document: Mapping[str, object] = json.load(said)
        report = msgspec.convert(document, _Report, strict=False)
    except (ValueError, msgspec.ValidationError):
        raise NetworkTrouble(Trouble.SILENT if was_told else Trouble.FOREIGN, PROGRAM) from None
    if report.error and not (was_told and report.intervals):
        known = (trouble for words, trouble in _SAID if words in report.error)
        raise NetworkTrouble(next(known, Trouble.SILENT if was_told else Trouble.SERVER_ERROR), report.error)
    return report


def _steady(report: _Report) -> Sequence[_Interval]:
    """Return what came after the warm-up; the second half of what was so short that there was nothing after it.

    In the last step of one that was told to end it only waited for the other side's word.
    """
    whole = report.intervals[:-1] if report.error else report.intervals
    steady = [interval for interval in whole if not interval.sum.omitted and interval.sum.seconds > STEP_S / 2]
    return steady or report.intervals[len(report.intervals) // 2 :]


def _rate(report: _Report) -> Rate:
    """Return the rate at which this side got or gave away bytes."""
    return Rate.of([interval.sum.bits_per_second for interval in _steady(report)])


def _arrived(report: _Report) -> Rate:
    """Return the rate at which the other side got bytes, on average, where it could say that.

    What this side counts went into its buffers, in bursts.
    """
    rate = _rate(report)
    arrived = report.end.sum_received
    if arrived is None or report.error or not rate.mean_bps:  # one that was told to end has heard nothing of it
        return rate
    return Rate(
        arrived.bits_per_second, rate.p10_bps * arrived.bits_per_second / rate.mean_bps, arrived.bits_per_second
    )


def _moved(report: _Report) -> int:
    return sum(interval.sum.bytes for interval in report.intervals)


def _latency(microseconds: Sequence[float | None]) -> Latency | None:
    return Latency.of([each / _MICROSECONDS for each in microseconds if each])


def _told(tell: Tell, phase: str, begin: float, end: float) -> Callable[[float], None]:
    return lambda share: tell(Step(phase, begin + (end - begin) * share))
