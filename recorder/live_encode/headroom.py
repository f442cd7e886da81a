"""Headroom of this PC: measured in a child process, kept in a file, and used to choose the live encode."""

import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from config.errors import LiputError, StateError
from config.settings.schema import Profile
from config.state import StateFile, state_folder
from config.version import VERSION
from devices.host import threads
from devices.host.child import ChildProcess, python_module


class HeadroomQuery(msgspec.Struct, frozen=True):
    """The encodes of a session."""

    profile: Profile
    most: int  # bits a second of the live encode
    videos: tuple[str, ...] | None = None  # words for sources; (): the best one plugged in, None: a synthetic camera
    settings: str | None = None  # file with the controls of cameras


SPARE = 0.3  # part of all cores that two encodes must leave to other programs


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds per second of media with one and two encodes, and the number of real sources used."""

    one_encode: float
    two_encodes: float
    cores: int
    real_sources: int = 0

    @property
    def spare(self) -> float:
        """Part of all cores left by two encodes; negative with too few cores."""
        return 1 - self.two_encodes / self.cores

    @property
    def spare_of_one(self) -> float:
        """Part of all cores left by one encode."""
        return 1 - self.one_encode / self.cores

    @property
    def affords_two(self) -> bool:
        """Whether a separate live encode is affordable."""
        return self.spare >= SPARE


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


LONGEST_S = 300.0  # a measurement that takes longer means no headroom

NOTHING_TO_SPARE = Headroom(one_encode=usable_cores(), two_encodes=2 * usable_cores(), cores=usable_cores())
"""Result of a measurement that was too slow; kept, else each armed session would try again."""

type Figures = dict[str, Headroom]


def headroom_store() -> StateFile[Figures]:
    """Return the file of results, keyed by question, CPU and version."""
    return StateFile(state_folder() / "headroom.json", Figures.__value__, {})


def remembered(asked: HeadroomQuery) -> Headroom | None:
    """Return the known result; None if there is none or the file cannot be read."""
    try:
        return headroom_store().read().get(_result_key(asked))
    except StateError:
        return None


def remember(asked: HeadroomQuery, found: Headroom) -> None:
    """Keep a result. Raises StateError."""
    headroom_store().change(lambda before: {**before, _result_key(asked): found})


class HeadroomMeasurement:
    """One run of recorder.live_encode.measure_child; `stop` ends it from another thread."""

    def __init__(self) -> None:
        self.found: Headroom | None = None  # result of `look_up`; None until known
        self._lock = threading.Lock()
        self._is_stopped = False
        self.child: ChildProcess | None = None

    def run(self, asked: HeadroomQuery) -> Headroom:
        """Return the result, and keep it unless real sources were used. Blocks; raises LiputError without one."""
        found = self._measure(asked)
        if not found.real_sources:
            remember(asked, found)
        return found

    def _measure(self, asked: HeadroomQuery) -> Headroom:
        try:
            with self._lock:
                if self._is_stopped:
                    raise LiputError("the measurement was ended")
                child = self.child = ChildProcess(python_module("recorder.live_encode.measure_child"))
            try:
                child.give(msgspec.json.encode(asked, enc_hook=str))  # the hook is for the frame rate, a fraction
                child.close_input()
                answer = child.read_all(LONGEST_S)
                child.wait()
            finally:
                child.end()
            if child.status == -signal.SIGXCPU:
                return NOTHING_TO_SPARE
            return msgspec.json.decode(answer, type=Headroom)
        except TimeoutError:
            return NOTHING_TO_SPARE
        except (OSError, ValueError):
            raise LiputError("the headroom of this PC could not be measured", hint="check the free memory") from None

    def stop(self) -> None:
        """Kill the child; returns at once."""
        with self._lock:
            self._is_stopped = True
            if self.child is not None:
                self.child.send(signal.SIGKILL)

    def look_up(self, asked: HeadroomQuery, *, measures: bool) -> Self:
        """Look up a result on a thread, and measure it if `measures` and unknown; never raises."""
        with suppress(RuntimeError):  # too many threads
            threads.start_thread(self._find, asked, measures, name="headroom")
        return self

    def _find(self, asked: HeadroomQuery, measures: bool) -> None:  # noqa: FBT001 - given to a thread
        with suppress(Exception):
            self.found = remembered(asked)
            if self.found is None and measures:
                self.found = self.run(asked)


def _result_key(asked: HeadroomQuery) -> str:
    """Return the key of a result; bit rates hardly matter."""
    profile = asked.profile
    what = f"{profile.width}x{profile.height} {profile.fps}/s {profile.preset}"
    return f"{what}; {_cpu()}; {usable_cores()} cores; liput {VERSION}"


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in {"model name", "hardware", "cpu model"}:
                return value.strip()
    return "unknown processor"


AUTO: Final = "auto"
SHARED: Final = "shared"
SEPARATE: Final = "separate"


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """Plan of the live encode: mode, the least bits a second of video, and the `question` for this PC."""

    encode: str
    least: int
    question: HeadroomQuery


type EncodeMode = Literal["shared", "separate"]  # the recording's packets, or a separate encode
type EncodeReason = Literal["set", "headroom", "no-headroom", "not-measured", "failed"]  # a contract of the CLI


def choose_encode(wish: str, headroom: Headroom | None) -> tuple[EncodeMode, EncodeReason]:
    """Return the encode of a session that begins now, and the reason; `wish` is `[video] stream_encode`."""
    if wish != AUTO:
        return SEPARATE if wish == SEPARATE else SHARED, "set"
    if headroom is None:
        return SHARED, "not-measured"
    return (SEPARATE, "headroom") if headroom.affords_two else (SHARED, "no-headroom")
