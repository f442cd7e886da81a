"""The headroom of this PC as it was measured: remembered from session to session, measured beside an armed one."""

import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from config.errors import LiputError, StateError
from config.state import Store, state_folder
from config.version import VERSION
from devices.host import threads
from devices.host.child import ChildProcess, python_module
from recorder.live_encode.headroom import Headroom, cores
from recorder.live_encode.measure import Question, encode_question

LONGEST_S = 300.0
"""On a PC that has nothing to spare it takes as long as it takes; after that it has nothing to spare."""

NOTHING_TO_SPARE = Headroom(one_encode=cores(), two_encodes=2 * cores(), cores=cores())
"""What is remembered of a PC that is not done in time: else each session that is armed would try again."""

type Figures = dict[str, Headroom]


def figures() -> Store[Figures]:
    """Return what was measured, by what was asked and where."""
    return Store(state_folder() / "headroom.json", Figures.__value__, {})


def remembered(asked: Question) -> Headroom | None:
    """Return the figure for `asked` on this PC with this program; None where there is none that can be read."""
    try:
        return figures().read().get(_place(asked))
    except StateError:
        return None


def remember(asked: Question, found: Headroom) -> None:
    """Keep a figure. Raises StateError."""
    figures().change(lambda before: {**before, _place(asked): found})


def measure(asked: Question) -> Headroom:
    """Measure and remember it; raises LiputError."""
    found = Measurement().run(asked)
    remember(asked, found)
    return found


class Measurement:
    """One run of recorder.live_encode.measure; `stop` ends it from another thread."""

    def __init__(self) -> None:
        self.found: Headroom | None = None
        """The figure that was looked up, once it is known."""
        self._lock = threading.Lock()
        self._is_stopped = False
        self._thread: threading.Thread | None = None
        self.child: ChildProcess | None = None

    def run(self, asked: Question) -> Headroom:
        """Return what was found; raises LiputError where nothing was."""
        try:
            child = self._begun()
            try:
                child.give(encode_question(asked))
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
            raise LiputError(
                "the headroom of this PC could not be measured", hint="see whether memory is left"
            ) from None

    def _begun(self) -> ChildProcess:
        with self._lock:
            if self._is_stopped:
                raise LiputError("the measurement was ended")
            self.child = ChildProcess(python_module("recorder.live_encode.measure"))
            return self.child

    def stop(self) -> None:
        """End it; returns at once."""
        with self._lock:
            self._is_stopped = True
            if self.child is not None:
                self.child.send(signal.SIGKILL)

    def look_up(self, asked: Question, *, measures: bool) -> Self:
        """Begin to look a figure up on a thread, or with `measures` to measure it; that never raises."""
        with suppress(RuntimeError):  # there are too many threads
            self._thread = threads.start(self._find, asked, measures, name="headroom")
        return self

    def _find(self, asked: Question, measures: bool) -> None:  # noqa: FBT001 - given to a thread
        with suppress(Exception):
            self.found = remembered(asked)
            if self.found is None and measures:
                self.found = self.run(asked)
                remember(asked, self.found)

    def join(self, timeout_s: float) -> None:
        """Wait for the end of looking up."""
        if self._thread is not None:
            self._thread.join(timeout_s)


def _place(asked: Question) -> str:
    """Return what the figure depends on; the bit rates hardly matter."""
    profile = asked.profile
    what = f"{profile.width}x{profile.height} {profile.fps}/s {profile.preset}"
    return f"{what}; {_cpu()}; {cores()} cores; liput {VERSION}"


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in {"model name", "hardware", "cpu model"}:
                return value.strip()
    return "unknown processor"
