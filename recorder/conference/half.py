"""Half of a conference, its picture or its sound: on a thread of its own, tried again until the session ends.

The recording is not asked and not waited for; why nothing goes to the conference is told once for each reason.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple

from config.events import Emit
from devices.clock import Clock
from recorder.status import ConferenceOutput

RETRY_S = 2.0
CLOSE_S = 1.0
"""How long the end of a session waits for a half; then it is left to itself."""


class Why(NamedTuple):
    """Why a half is not live: a stable code, a sentence and what to do."""

    code: str
    message: str
    hint: str


class Half:
    """Calls `serve` again and again until `stopped` is set.

    `serve` raises why it is over, and says with `live` when something is taken; `why` says what that means to people,
    None for a mistake of the program.
    """

    def __init__(
        self,
        subject: str,
        name: str,
        serve: Callable[[], None],
        why: Callable[[Exception], Why | None],
        *,
        thread: str,
        clock: Clock,
        emit: Emit,
    ) -> None:
        """`subject` is that of events, `camera` or `microphone`; `name` is what people call what goes there."""
        self.line = ConferenceOutput(state="starting")
        self.stopped = threading.Event()
        self._subject = subject
        self._name = name
        self._serve = serve
        self._why = why
        self._clock = clock
        self._emit = emit
        self._told: str | None = None  # the reason that was told last
        self._thread = threading.Thread(target=self._run, name=thread, daemon=True)

    def start(self) -> None:
        """Begin; returns at once. That there is no thread for it is told."""
        try:
            self._thread.start()
        except RuntimeError as error:  # there are too many threads
            self.lost(Why("failed", f"{error}", "end other programs"))
            self.line = ConferenceOutput(state="stopped", reason=self.line.reason)

    def join(self, timeout_s: float) -> None:
        """Wait for the end after `stopped` was set, at most `timeout_s`; idempotent."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    @property
    def is_lost(self) -> bool:
        """Whether it was told that nothing goes there, and not yet that something does again."""
        return self._told is not None

    def live(self, message: str, **detail: object) -> None:
        """Tell that it gets pictures, or sound."""
        self.line, self._told = ConferenceOutput(state="live"), None
        self._emit("conference-live", self._subject, message, **detail)

    def lost(self, why: Why) -> None:
        """Tell why nothing goes there; of the same reason nothing more until it is live."""
        self.line = ConferenceOutput(state="waiting", reason=why.code)
        if why.code != self._told:
            self._told = why.code
            self._emit("conference-lost", self._subject, why.message, reason=why.code, hint=why.hint)

    def _run(self) -> None:
        while not self.stopped.is_set():
            try:
                self._serve()
            except Exception as error:  # of whatever kind: the recording goes on, and the next try may do
                mistake = Why("failed", f"the conference's {self._name} failed: {error!r}", "please report this")
                self.lost(self._why(error) or mistake)
            self._clock.wait(self.stopped, RETRY_S)
        self.line = ConferenceOutput(state="stopped", reason=self.line.reason)
