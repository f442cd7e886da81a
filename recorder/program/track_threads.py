"""The threads of a program's tracks."""

import threading
from collections.abc import Callable

from config.errors import LiputError, as_liput_error
from devices.host.priority import raise_thread_priority
from devices.host.threads import start_thread
from recorder.model.packet import Track


class TrackThreads:
    """Runs each track on a thread of its own; an error in a track is given to `on_failure`. Thread-safe."""

    def __init__(self, *, finish: Callable[[str], None], on_failure: Callable[[LiputError], None]) -> None:
        """`finish` gets each track that has ended."""
        self._finish = finish
        self._on_failure = on_failure
        self._changed = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, video: Callable[[], None], audio: Callable[[], None] | None) -> None:
        """Start a thread for each track."""
        for track, run in ((Track.VIDEO, video), (Track.AUDIO, audio)):
            if run is not None:
                self._threads.append(start_thread(self._run, track, run, name=f"track-{track}", daemon=False))

    def _run(self, track: Track, run: Callable[[], None]) -> None:
        try:
            if track is Track.AUDIO:
                raise_thread_priority()  # before the video track, which may step down
            run()
        except Exception as error:
            self._on_failure(as_liput_error(error, what=f"the {track} track failed"))
        finally:
            self._finish(str(track))
            self._changed.set()

    @property
    def are_running(self) -> bool:
        """Whether a track still runs."""
        return any(thread.is_alive() for thread in self._threads)

    def wake(self) -> None:
        """Let `wait` return."""
        self._changed.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for a track's end or a call of `wake`."""
        self._changed.wait(timeout_s)
        self._changed.clear()

    def join(self) -> None:
        """Wait for the end of all tracks."""
        for thread in self._threads:
            thread.join()
