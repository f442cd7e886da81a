"""One session that streams a film of numbered noise through a faulty network: what it says, what the server got."""

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np

from capture.media.pictures import plane_views
from capture.synthetic.marks import FOOTER, write_number
from devices.host.clock import NANOSECONDS
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.net.lab import Place
from tests.support import media
from tests.support.command import Line, Running
from tests.support.markers import frame_number
from tests.support.recorders import recorders

NAME = "campus"
SHED = "stepped-down", "frames-dropped"  # a busy machine's session says so when it leaves out frames
LATE_S = 1.0  # so much may be recorded after it was asked to stop, or be missing before


@dataclass(slots=True)
class Told:
    """The lines of a session, each with when it came (time.monotonic)."""

    lines: list[tuple[float, Line]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def first(self, wanted: Callable[[Line], bool], since: float = 0.0) -> float | None:
        """Return when the first line that is `wanted` came, from `since` on."""
        return next((at for at, line in list(self.lines) if at >= since and wanted(line)), None)

    def wait_for(self, wanted: Callable[[Line], bool], patience_s: float, since: float = 0.0) -> float:
        """Wait for such a line, and return when it came."""
        with self.changed:
            came = self.changed.wait_for(lambda: self.first(wanted, since) is not None or self._is_over(), patience_s)
        at = self.first(wanted, since)
        assert came, [line for _, line in self.lines][-5:]
        assert at is not None, [line for _, line in self.lines][-5:]
        return at

    def _is_over(self) -> bool:
        return bool(self.lines) and self.lines[-1][1]["type"] in {"result", "error"}


class LiveSession:
    """`liput record` on the PC of a lab, its lines read as they come."""

    def __init__(
        self,
        home: Path,
        place: Place,
        destinations: dict[str, tuple[str, str]],
        profile: str,
        settings: str = "",
        sources: tuple[str, ...] = ("--video", "synthetic"),
    ) -> None:
        """`destinations` has the address and the key (or none: '') of each by its name."""
        lines = [settings] + [f'[destinations.{name}]\nurl = "{url}"\n' for name, (url, _) in destinations.items()]
        (home / "liput.toml").write_text("\n".join(lines))
        keys = home / "keys.toml"
        keys.write_text("".join(f'{name} = "{key}"\n' for name, (_, key) in destinations.items() if key))
        keys.chmod(0o600)
        self.told = Told()
        self._count = len(destinations)
        self._asked = 0.0
        streams = [word for name in destinations for word in ("--stream", name)]
        self.command = Running(
            home, "record", "--title", "Live", *sources, "--profile", profile, "--json",
            "--archive", home / "archive", "--config", home / "liput.toml", *streams, enter=place.enter,
            more={RUNTIME: str(home / ".runtime")},  # of its own: what is left of it is killed at the end
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name="session-reader")
        self._reader.start()

    def _read(self) -> None:
        for line in self.command.read():
            with self.told.changed:
                self.told.lines.append((time.monotonic(), line))
                self.told.changed.notify_all()

    @property
    def recorder(self) -> int:
        """The process id of its recorder."""
        (info,) = recorders(self.command.runtime)
        return info.pid

    def stop(self) -> float:
        """End it in order, wait until it is sealed; return how many seconds passed until no connection was left."""
        asked = self._asked = time.monotonic()
        self.command.signal(signal.SIGINT)
        self._reader.join(600)
        self.command.wait_for_exit()
        stopped = [at for at, line in self.told.lines if line.get("kind") == "destination-stopped"]
        assert len(stopped) == self._count, [line for _, line in self.told.lines if line["type"] != "status"]
        return max(stopped) - asked

    def close(self) -> None:
        """Leave nothing behind."""
        self.command.close()
        self._reader.join(60)

    @property
    def zero(self) -> float:
        """When the recording's time 0 was (time.monotonic)."""
        return next(int(detail["clock_ns"]) / NANOSECONDS for detail in self.details("session-live"))

    def expected(self, rate: float) -> float:
        """Return how many pictures there were until it was asked to stop."""
        return (self._asked - self.zero) * rate

    def is_whole(self, recorded: Sequence[int | None], rate: float, *, busy: bool = False) -> bool:
        """Return whether each picture from the first to the moment at which it was stopped was `recorded`.

        On a `busy` machine the session may have told that it leaves out some.
        """
        if busy and any(self.told_of(*SHED)):
            read = [number for number in recorded if number is not None]
            is_ordered = all(before < after for before, after in itertools.pairwise(read))
            count = read[-1] - read[0] + 1 if read else 0
            return len(read) == len(recorded) and is_ordered and abs(count - self.expected(rate)) <= LATE_S * rate
        is_long_enough = abs(len(recorded) - self.expected(rate)) <= LATE_S * rate
        return is_long_enough and not self.not_next(recorded)

    @staticmethod
    def not_next(recorded: Sequence[int | None]) -> list[str]:
        """Return where a picture's number does not follow on the one before, or cannot be read."""
        pairs = enumerate(itertools.pairwise(recorded), 1)
        wrong = [f"{at}: {before}, {after}" for at, (before, after) in pairs if before is None or after != before + 1]
        return wrong if recorded else ["there is none"]

    def told_of(self, *kinds: str) -> Iterator[tuple[float, dict[str, str]]]:
        """Yield when each event of some kinds was told, and its details."""
        for at, line in self.told.lines:
            if line["type"] == "event" and line["kind"] in kinds:
                yield at, line["detail"]  # type: ignore[misc]

    def reasons(self, name: str) -> set[str]:
        """Return why one destination was not live."""
        lost = (line for _, line in self.told.lines if line.get("kind") == "destination-lost")
        return {line["detail"]["reason"] for line in lost if line["subject"] == name}  # type: ignore[index]

    def details(self, kind: str) -> Iterator[dict[str, str]]:
        """Yield the details of the events of one kind."""
        return (detail for _, detail in self.told_of(kind))

    @property
    def program(self) -> Path:
        """The film in the package."""
        result = next(line for _, line in self.told.lines if line["type"] == "result")
        assert result["state"] == "sealed", result
        path = Path(str(result["package"])) / "data" / "media" / "program.mp4"
        media.decodes_cleanly(path)
        return path


# The film


RATE = 30
SIZE = 640, 360
PROFILE = "noise"


def settings(bit_rate: str) -> str:
    """Return the settings of a profile for it, called PROFILE."""
    return f"""
[profiles.{PROFILE}]
width = {SIZE[0]}
height = {SIZE[1]}
fps = {RATE}
video_bitrate = "{bit_rate}"
preset = "superfast"
"""


def sources(path: Path) -> tuple[str, ...]:
    """Return what `liput record` is told to record it."""
    return "--video", str(path), "--audio", "synthetic"


def film(path: Path, seconds: float) -> None:
    """Make a film of noise with a number in each picture."""
    width, height = SIZE
    chance = np.random.default_rng(0)
    noise = [chance.integers(60, 190, (height, width), np.uint8) for _ in range(97)]
    picture = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = plane_views(picture)
    for plane in chroma:
        plane[:] = 128
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * RATE)):
            luma[:] = np.roll(noise[number % len(noise)], number % 53, axis=0)
            FOOTER.of(luma)[:] = 16
            write_number(luma, number)
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


# The server


LOOKS_EVERY_S = 0.02
SEEN_SIZE = 320, 180  # at which numbers are read

_VIDEO_TAG, _AVC, _CODED = 9, 7, 1
_HEADER_BYTES, _TAG_BYTES, _SIZE_BYTES = 9, 11, 4
_PACKET_BYTES, _SYNC, _STARTS, _HAS_MORE = 188, 0x47, 0x40, 0x20
_VIDEO_STREAM = b"\0\0\1\xe0"


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that reached the server: its number, and when it did (time.monotonic)."""

    number: int
    at: float


@dataclass(slots=True)
class _File:
    """A file that grows: how far it was read, and when which picture (its time in milliseconds) came."""

    read: int = 0
    rest: bytes = b""
    came: dict[int, float] = field(default_factory=dict)

    def take(self, fresh: bytes, *, is_flv: bool) -> None:
        """Find the pictures in what is new."""
        if self.read == 0 and is_flv:
            fresh = fresh[_HEADER_BYTES + _SIZE_BYTES :]
            self.read = _HEADER_BYTES + _SIZE_BYTES
        self.read += len(fresh)
        self.rest = (self._flv if is_flv else self._ts)(self.rest + fresh, time.monotonic())

    def _flv(self, data: bytes, at: float) -> bytes:
        """Take whole tags off `data`, and return what is left."""
        while len(data) >= _TAG_BYTES:
            size = int.from_bytes(data[1:4])
            if len(data) < _TAG_BYTES + size + _SIZE_BYTES:
                break
            body = data[_TAG_BYTES : _TAG_BYTES + size]
            if data[0] == _VIDEO_TAG and body[0] & 15 == _AVC and body[1] == _CODED:
                decoded_ms = int.from_bytes(data[4:7]) | data[7] << 24
                self.came[decoded_ms + int.from_bytes(body[2:5], signed=True)] = at
            data = data[_TAG_BYTES + size + _SIZE_BYTES :]
        return data

    def _ts(self, data: bytes, at: float) -> bytes:
        """Take whole packets of a transport stream; a picture's first one has its time."""
        for place in range(0, len(data) - _PACKET_BYTES + 1, _PACKET_BYTES):
            packet = data[place : place + _PACKET_BYTES]
            assert packet[0] == _SYNC, "not a transport stream"
            if packet[1] & _STARTS:
                payload = packet[4 + (1 + packet[4] if packet[3] & _HAS_MORE else 0) :]
                if payload.startswith(_VIDEO_STREAM):
                    self.came[round(_timestamp(payload[9:14]) / 90)] = at
        return data[len(data) // _PACKET_BYTES * _PACKET_BYTES :]


def _timestamp(field: bytes) -> int:
    """Return a PES packet's time, which has 33 bits in five bytes."""
    high, middle, low = field[0] >> 1 & 7, int.from_bytes(field[1:3]) >> 1, int.from_bytes(field[3:5]) >> 1
    return high << 30 | middle << 15 | low


class Viewer:
    """Follows the recordings of a server (FLV or TS, written as they come) from the `with`'s beginning to its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, _File] = {}
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="viewer")
        self.bytes_at: list[tuple[float, int]] = []  # how many bytes of video had come in all, whenever some did

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def seen(self) -> list[Seen]:
        """Decode what came, after the `with`; in the order it was shown. What is not whole is not seen."""
        pictures: list[Seen] = []
        for path, file in sorted(self._files.items(), key=lambda each: min(each[1].came.values(), default=0.0)):
            if not file.came:
                continue
            for shown_s, number in zip(media.shown(path, "v"), numbers(path), strict=False):
                at = file.came.get(round(shown_s * 1000))
                if number is not None and at is not None:
                    pictures.append(Seen(number, at))
        return pictures

    def _follow(self) -> None:
        while not self._enough.wait(LOOKS_EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        for path in [*self._folder.glob("*.flv"), *self._folder.glob("*.ts")]:
            file = self._files.setdefault(path, _File())
            with path.open("rb") as stream:
                stream.seek(file.read)
                fresh = stream.read()
            if len(fresh) > _HEADER_BYTES + _SIZE_BYTES:
                file.take(fresh, is_flv=path.suffix == ".flv")
                self.bytes_at.append((time.monotonic(), sum(each.read for each in self._files.values())))


def numbers(path: Path) -> list[int | None]:
    """Return the number in each picture of a file, in the order they are shown; None where it cannot be read."""
    width, height = SEEN_SIZE
    planes = media.lumas(path, width, height)
    return [frame_number(np.frombuffer(plane, np.uint8).reshape(height, width)) for plane in planes]


def missing(whole: Sequence[int | None], part: Sequence[Seen]) -> int:
    """Return how many pictures of `whole` are not among those that were seen."""
    seen = {picture.number for picture in part}
    return sum(number not in seen for number in whole)
