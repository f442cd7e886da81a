"""Half of a conference, its picture or its sound: on a thread of its own, tried again until the session ends.

The recording is not asked and not waited for; why nothing goes to the conference is told once for each reason.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from config.errors import LiputError, Why
from devices.host.background import BackgroundTask
from recorder.model.status import ConferenceOutput
from recorder.program.timeline import RunContext

RETRY_S = 2.0
CLOSE_S = 1.0
"""How long the end of a session waits for a half; then it is left to itself."""


_CODES: Mapping[Why, str] = {
    "missing": "no-node",
    "busy": "busy",
    "denied": "denied",
    "unsupported": "wrong-format",
    "lost": "gone",
}


class ConferenceError(LiputError):
    """Why nothing goes to the conference; `code` is stable."""

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Half(ABC):
    """Serves again and again until it is stopped; `close` may be called more than once."""

    def __init__(self, subject: str, name: str, run: RunContext) -> None:
        """`subject` is that of events, `camera` or `microphone`; `name` is what people call what goes there."""
        self.line = ConferenceOutput(state="starting")
        """How it is."""
        self._subject = subject
        self._name = name
        self._clock = run.clock
        self._emit = run.emit
        self._told: str | None = None  # the reason that was told last
        self._task = BackgroundTask(
            f"conference-{subject}",
            self._serve,
            pause=lambda _failures: RETRY_S,
            failed=self._failed,
            over=self._ended,
            clock=run.clock,
        )
        self.stopped = self._task.stopped

    def start(self) -> None:
        """Begin; returns at once. That there is no thread for it is told."""
        try:
            self._task.start()
        except RuntimeError as error:  # there are too many threads
            self.lost("failed", f"{error}", "end other programs")
            self._ended()

    def stop(self) -> None:
        """Begin to end; returns at once."""
        self._task.stop()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Stop, and wait for the end at most `timeout_s`."""
        self.stop()
        self._task.join(timeout_s)

    @abstractmethod
    def _serve(self) -> None:
        """Serve until `stopped` is set, and say with `live` when something is taken; raise why it is over before."""

    @property
    def is_lost(self) -> bool:
        """Whether it was told that nothing goes there, and not yet that something does again."""
        return self._told is not None

    def live(self, message: str, **detail: object) -> None:
        """Tell that it gets pictures, or sound."""
        self.line, self._told = ConferenceOutput(state="live"), None
        self._emit("conference-live", self._subject, message, **detail)

    def lost(self, code: str, message: str, hint: str) -> None:
        """Tell why nothing goes there; of the same code nothing more until it is live."""
        self.line = ConferenceOutput(state="waiting", reason=code)
        if code != self._told:
            self._told = code
            self._emit("conference-lost", self._subject, message, reason=code, hint=hint)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ConferenceError):
            self.lost(error.code, error.message, error.hint)
        elif isinstance(error, LiputError):
            code = _CODES.get(error.why, "failed")
            self.lost(code, error.message, error.hint)
        else:
            self.lost("failed", f"the conference's {self._name} failed: {error!r}", "please report this")

    def _ended(self) -> None:
        self.line = ConferenceOutput(state="stopped", reason=self.line.reason)
