"""Reads the health log: lines between two times, new lines as they arrive, and the devices in them."""

import contextlib
import heapq
import itertools
import os
import re
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import msgspec

from config.errors import StateError
from devices.health.log_line import PC, HealthLine, LogLevel
from devices.health.log_writer import (
    DROPPED_LINES,
    TIME_SLACK,
    day_of,
    log_files,
    log_folder,
    time_of,
    without_torn_line,
)
from devices.host.clock import Clock

_NEAR = 32_768  # bytes; a shorter range is read instead of bisected
_DAY = timedelta(days=1)
_TAIL = 65_536

type FileEnds = Mapping[Path, int]  # the byte up to which each file has been read, always the end of a line


class LogFilter:
    """A filter for lines; None selects all. `level` is the least serious one; `since` and `until` are included."""

    def __init__(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        devices: Collection[str] | None = None,
        level: LogLevel = LogLevel.DEBUG,
        kinds: Collection[str] | None = None,
    ) -> None:
        self.since = since
        self.until = until
        self._devices = None if devices is None else frozenset(devices)
        self._kinds = None if kinds is None else frozenset(kinds)
        self._levels = frozenset(one for one in LogLevel if one.rank >= level.rank)
        self._decode = msgspec.json.Decoder(HealthLine).decode
        self._search = _pattern(self._levels, self._kinds).search

    def line(self, raw: bytes) -> HealthLine | None:
        """Decode `raw`; None if it is no whole line, or does not match."""
        # Most lines are samples: searching a piece of text first is five times as fast as decoding them all.
        if not self._search(raw):
            return None
        try:
            line = self._decode(without_torn_line(raw))
        except (msgspec.DecodeError, ValueError):  # ValueError: not UTF-8
            return None
        return line if self._matches(line) else None

    def _matches(self, line: HealthLine) -> bool:
        return (
            line.at.tzinfo is not None
            and (self._devices is None or line.device in self._devices)
            and line.level in self._levels
            and (self._kinds is None or line.kind in self._kinds)
            and (self.since is None or line.at >= self.since)
            and (self.until is None or line.at <= self.until)
        )


def read(folder: Path, wanted: LogFilter, ends: FileEnds | None = None) -> Iterator[HealthLine]:
    """Yield matching lines by time, up to `ends`; processes may differ by TIME_SLACK. Raises StateError."""
    for _, group in itertools.groupby(_files_for(folder, wanted), key=day_of):
        several = [_raw_lines(path, wanted, None if ends is None else ends.get(path, 0)) for path in group]
        streams = [filter(None, map(wanted.line, raw_lines)) for raw_lines in several]
        yield from streams[0] if len(streams) == 1 else heapq.merge(*streams, key=lambda line: line.at)


MOST_SESSION_LINES = 2000  # bounds the lines of a device that flaps all day: the first and the last half stay


def session_lines(devices: Iterable[str], since: datetime, until: datetime) -> bytes:
    """Return the log of `devices` and of the PC in a session, without samples; b"" if it cannot be read."""
    wanted = LogFilter(since=since, until=until, devices={PC, *devices}, level=LogLevel.INFO)
    last: deque[HealthLine] = deque(maxlen=MOST_SESSION_LINES // 2)
    with contextlib.suppress(StateError, OSError):
        lines = read(log_folder(), wanted)
        kept = list(itertools.islice(lines, MOST_SESSION_LINES // 2))
        missing = -(MOST_SESSION_LINES // 2)
        for line in lines:
            last.append(line)
            missing += 1
        if missing > 0:
            reason, detail = f"{missing} lines are left out here", {"lines": missing}
            kept.append(HealthLine(at=last[0].at, device=PC, kind=DROPPED_LINES, reason=reason, detail=detail))
        return b"".join(msgspec.json.encode(line) + b"\n" for line in (*kept, *last))
    return b""


def end_positions(folder: Path) -> dict[Path, int]:
    """Return the end of each file now, for `read` and then `follow`. Raises StateError."""
    ends = {}
    for path in health_log_files(folder):
        size, tail = _tail(path)
        ends[path] = size - (len(tail) - 1 - tail.rfind(b"\n"))  # the last line may lack its end
    return ends


def _pattern(levels: Collection[str], kinds: Collection[str] | None) -> re.Pattern[bytes]:
    """Return a pattern that all lines of `levels` and `kinds` match: the two fields stand side by side."""
    anything = '[^"]*'
    level = anything if len(levels) == len(LogLevel) else f"(?:{'|'.join(map(re.escape, levels))})"
    kind = anything if kinds is None else f"(?:{'|'.join(map(re.escape, kinds))})"
    return re.compile(f'"level":"{level}","kind":"{kind}"'.encode())


def health_log_files(folder: Path) -> list[Path]:
    """Return the files of the log, the oldest first. Raises StateError."""
    try:
        return log_files(folder)
    except OSError as error:
        raise StateError(f"the health log {folder} cannot be read: {error.strerror}") from error


def _files_for(folder: Path, wanted: LogFilter) -> list[Path]:
    first = date.min if wanted.since is None else wanted.since.astimezone(UTC).date() - _DAY
    last = date.max if wanted.until is None else wanted.until.astimezone(UTC).date() + _DAY
    return [path for path in health_log_files(folder) if first <= day_of(path) <= last]


def _raw_lines(path: Path, wanted: LogFilter, end: int | None) -> Iterator[bytes]:
    """Yield a file's lines up to the byte `end` (None: all) from the time in `wanted`, and some around it."""
    try:
        with path.open("rb") as file:
            start, stop = 0, _end_of(file) if end is None else end
            if wanted.since is not None:
                start, _ = _bisect(file, start, stop, wanted.since - TIME_SLACK)
            if wanted.until is not None:
                _, stop = _bisect(file, start, stop, wanted.until + TIME_SLACK)
            file.seek(start)
            for raw in file:
                start += len(raw)
                if start > stop or not raw.endswith(b"\n"):
                    return
                yield raw
    except FileNotFoundError:  # pruned
        return
    except OSError as error:
        raise StateError(f"the health log {path} cannot be read: {error.strerror}") from error


def _end_of(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _bisect(file: BinaryIO, start: int, stop: int, moment: datetime) -> tuple[int, int]:
    """Return the starts of two lines: all before the first are older than `moment`, all from the second on newer.

    Both may be wrong by TIME_SLACK.
    """
    low, high, probe_end = start, stop, stop
    while probe_end - low > _NEAR:
        middle = (low + probe_end) // 2
        file.seek(middle)
        begins = middle + len(file.readline())  # skips the rest of a line
        at = None
        while begins < probe_end:
            raw = file.readline()
            if (at := time_of(raw)) is not None:
                break
            begins += len(raw)
        if at is None:
            probe_end = middle
        elif at < moment:
            low = begins
        else:
            high = begins
            probe_end = middle
    return low, high


def _tail(path: Path) -> tuple[int, bytes]:
    """Return a file's size and its last bytes; none if it cannot be read."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = _end_of(file)
        file.seek(max(0, size - _TAIL))
        return size, file.read(_TAIL)
    return 0, b""


def last_time(folder: Path) -> datetime | None:
    """Return the time of the newest file's last line; None if the log is empty. Raises StateError."""
    for path in reversed(health_log_files(folder)):
        _, tail = _tail(path)
        if at := max(filter(None, map(time_of, tail.split(b"\n"))), default=None):
            return at
    return None


POLL_S = 0.2  # the interval between two looks for new lines

_POLLS_BETWEEN_LISTINGS = 5
_GROWING = timedelta(days=2)  # older files do not grow


def follow(
    folder: Path, wanted: LogFilter, *, clock: Clock, stop: threading.Event, ends: FileEnds | None = None
) -> Iterator[HealthLine]:
    """Yield new matching lines after `ends` (None: now) until `stop`; waits for a missing log. Raises StateError."""
    known = dict(end_positions(folder) if ends is None else ends)
    growing: list[Path] = []
    polls = 0
    while not stop.is_set():
        if polls % _POLLS_BETWEEN_LISTINGS == 0:
            files = health_log_files(folder)
            # A clock that was once wrong may have left files of later days, which do not grow.
            newest = min([clock.now().date(), *map(day_of, files[-1:])])
            growing = [path for path in files if day_of(path) >= newest - _GROWING]
        polls += 1
        for path in growing:
            yield from _new_lines(path, wanted, known)
        clock.wait(stop, POLL_S)


def _new_lines(path: Path, wanted: LogFilter, known: dict[Path, int]) -> Iterator[HealthLine]:
    try:
        size = os.stat(path).st_size  # noqa: PTH116 - five times a second
        if size == known.get(path, 0):
            return
        if size < known.get(path, 0):  # deleted and begun again
            known[path] = 0
        with path.open("rb") as file:
            file.seek(known.get(path, 0))
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                known[path] = known.get(path, 0) + len(raw)
                if (line := wanted.line(raw)) is not None:
                    yield line
    except OSError:  # deleted
        known.pop(path, None)


# Devices

_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_DEVICE_AND_NAME = re.compile(rb'"device":(' + _TEXT + rb'),"name":(' + _TEXT + rb")")


def devices_in(folder: Path, wanted: LogFilter) -> dict[str, str]:
    """Return the ids of devices with lines between `wanted.since` and `.until`, with last names. Raises StateError."""
    names: dict[str, str] = {}
    seen: set[bytes] = set()
    for raw in (raw for path in _files_for(folder, wanted) for raw in _raw_lines(path, wanted, None)):
        who = _DEVICE_AND_NAME.search(raw)
        # Most lines are about a known device; decoding all would take five times as long.
        if who is None or who[0] in seen:
            continue
        seen.add(who[0])
        try:
            device, name = (msgspec.json.decode(part, type=str) for part in who.groups())
        except (msgspec.DecodeError, ValueError):
            continue
        names[device] = name or names.get(device, "")
    return names


def find_device_ids(word: str, names: Mapping[str, str], roles: Mapping[str, str]) -> frozenset[str]:
    """Return the ids in `names` (id to name) that match `word`; may be empty. Ignores case.

    Tries an id, a serial number, a role (`roles` gives the id), a port, a part of an id or a name. A part may match
    several.
    """
    word = word.strip().casefold()
    if not word:
        return frozenset()
    for meant in _readings(word, names, {role.casefold(): device for role, device in roles.items()}):
        if meant:
            return meant
    return frozenset()


def _readings(word: str, names: Mapping[str, str], roles: Mapping[str, str]) -> Iterator[frozenset[str]]:
    yield frozenset(device for device in names if device.casefold() == word)
    yield frozenset(device for device in names if word in device.casefold().removesuffix("+sound").split(":")[2:])
    yield frozenset({roles[word]} if word in roles else ())
    yield frozenset(device for device in names if device.casefold().partition("@")[2].partition("+")[0] == word)
    yield frozenset({PC} if word in {"this pc", "computer"} else ())
    yield frozenset(device for device, name in names.items() if word in name.casefold() or word in device.casefold())
