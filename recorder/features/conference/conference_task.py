"""Base of a conference's video and audio: a thread that retries until the session ends, apart from the recording."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from config.errors import ErrorCause, LiputError, as_liput_error
from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS
from recorder.model.status import ConferenceOutput
from recorder.program.timeline import RunContext

RETRY_S = 2.0
CLOSE_S = 1.0  # limit of the wait at the session's end; then the thread is abandoned

_CODES: Mapping[ErrorCause, str] = {
    "no-device": "no-node",
    "busy": "busy",
    "denied": "denied",
    "unsupported": "wrong-format",
    "lost": "gone",
}


class ConferenceError(LiputError):
    """Why the conference gets nothing; `code` is stable."""

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ConferenceTask(ABC):
    """Serves again and again until stopped; `close` is idempotent. Each reason of a failure is reported once."""

    def __init__(self, subject: str, name: str, run: RunContext) -> None:
        """`subject` is that of events, `camera` or `microphone`; `name` is people's word, `picture` or `sound`."""
        self.line = ConferenceOutput(state="starting")
        self._subject = subject
        self._name = name
        self._clock = run.clock
        self._emit = run.emit
        self._reported_code: str | None = None  # the last reported reason
        self._stopped_ns: int | None = None
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
        """Begin; returns at once. Reports a thread that cannot start."""
        try:
            self._task.start()
        except RuntimeError as error:  # too many threads
            self.lost("failed", f"{error}", "end other programs")
            self._ended()

    def stop(self) -> None:
        """Begin to end; returns at once."""
        if self._stopped_ns is None:
            self._stopped_ns = self._clock.now_ns()
        self._task.stop()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Stop, and wait until `timeout_s` after the first `stop`."""
        self.stop()
        passed_s = (self._clock.now_ns() - (self._stopped_ns or 0)) / NANOSECONDS
        self._task.join(max(0.0, timeout_s - passed_s))

    @abstractmethod
    def _serve(self) -> None:
        """Serve until `stopped` is set; call `live` on success; raise the reason of an early end."""

    @property
    def is_lost(self) -> bool:
        """Whether a failure was reported, and no success since."""
        return self._reported_code is not None

    def live(self, message: str, **detail: object) -> None:
        """Report that frames or audio arrive."""
        self.line, self._reported_code = ConferenceOutput(state="live"), None
        self._emit("conference-live", self._subject, message, **detail)

    def lost(self, code: str, message: str, hint: str) -> None:
        """Report why nothing arrives; the same code once only until `live`."""
        self.line = ConferenceOutput(state="waiting", reason=code)
        if code != self._reported_code:
            self._reported_code = code
            self._emit("conference-lost", self._subject, message, reason=code, hint=hint)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ConferenceError):
            self.lost(error.code, error.message, error.hint)
        else:
            told = as_liput_error(error, what=f"the conference's {self._name} failed")
            self.lost(_CODES.get(told.why, "failed"), told.message, told.hint)

    def _ended(self) -> None:
        self.line = ConferenceOutput(state="stopped", reason=self.line.reason)
