"""The contract of a feature that takes part in a session, and the hooks of one session.

`recorder/composition.py` lists the modules. Each is loaded with the plan. It imports its feature only in a session that
has it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from capture.cpu_stages import CpuTimer, untimed
from capture.sources.source_kind import ChosenSources
from config.events import Emit, Event
from config.settings.schema import Settings
from devices.host.threads import report_error
from recorder.composition import SESSION_HOOKS
from recorder.model.status import SessionResult, SessionStatus
from recorder.program.armed_program import ArmedProgram
from recorder.program.mixer import SamplesOrSilence
from recorder.program.program_audio import MixBus
from recorder.program.video_track import ChooseSpacing
from recorder.session.request import SessionRequest


class SessionHook:
    """A feature's part in one session. A hook overrides what it needs.

    An error in a hook goes to the recorder's log, and the session goes on; `plan` alone may refuse a session.
    """

    timing: CpuTimer | None = None  # counts the CPU time of the session's work
    spacing: ChooseSpacing | None = None  # lowers the program's frame rate
    bus: MixBus | None = None  # takes the samples of all audio inputs

    def plan(self, chosen: ChosenSources, *, unattended: bool) -> None:
        """Look at the chosen sources, and add notes for people. An attended session may get a UsageError."""

    def attach(self, emit: Emit) -> None:
        """Take the session's event log."""

    def hear(self, event: Event) -> None:
        """Take an event of the session, on any thread."""

    def arm(self, program: ArmedProgram) -> None:
        """Prepare for the tracks, which start next."""

    def start(self) -> None:
        """Begin; the tracks run."""

    def stop(self) -> None:
        """Begin to end; returns at once. May be called again, and from any thread."""

    def close(self) -> None:
        """End within a second. The recording is complete, and sealing follows."""

    def end(self, result: SessionResult | None) -> None:
        """Report and free everything; the session has ended, without a result after an error."""

    def describe(self, status: SessionStatus) -> SessionStatus:
        """Return `status` with the feature's line. Called from any thread."""
        return status


class SessionHooks:
    """The hooks of one session, in the order of their registration."""

    def __init__(self, hooks: Sequence[SessionHook] = ()) -> None:
        self._hooks = list(hooks)
        self._broken: list[SessionHook] = []  # those that get no more frames and samples

    def add(self, hook: SessionHook) -> None:
        """Add a hook of the recorder's own."""
        self._hooks.append(hook)

    @property
    def timing(self) -> CpuTimer:
        """The first hook's timer."""
        return next((hook.timing for hook in self._hooks if hook.timing), untimed)

    def spacing(self, waited_ns: int, filled: float) -> int:
        """Return the first hook's choice (ChooseSpacing); 1 once it fails."""
        for hook in self._hooks:
            if hook.spacing and hook not in self._broken:
                with self._guarding(hook):
                    return hook.spacing(waited_ns, filled)
        return 1

    def bus(self, samples: Sequence[SamplesOrSilence], count: int) -> None:
        """Give audio samples to each hook's bus (MixBus), until it fails."""
        for hook in self._hooks:
            if hook.bus and hook not in self._broken:
                with self._guarding(hook):
                    hook.bus(samples, count)

    @contextmanager
    def _guarding(self, hook: SessionHook) -> Iterator[None]:
        try:
            yield
        except Exception:  # any error: video and sound go on
            self._broken.append(hook)
            report_error()

    def plan(self, chosen: ChosenSources, *, unattended: bool) -> None:
        """Show the chosen sources to each hook. Raises UsageError."""
        for hook in self._hooks:
            hook.plan(chosen, unattended=unattended)

    def tell(self, moment: Callable[[SessionHook], object]) -> None:
        """Call `moment` for each hook. Raises nothing."""
        for hook in self._hooks:
            try:
                moment(hook)
            except Exception:  # any error: the recording goes on
                report_error()

    def describe(self, status: SessionStatus) -> SessionStatus:
        """Return `status` with the lines of all hooks. Raises nothing."""
        for hook in self._hooks:
            try:
                status = hook.describe(status)
            except Exception:  # any error: the other lines stay
                report_error()
        return status


def make_hooks(asked: SessionRequest, settings: Settings) -> SessionHooks:
    """Return the hooks of the features that the request or the settings want."""
    made = [import_module(module).make_hook(asked, settings) for module in SESSION_HOOKS]
    for module, hook in zip(SESSION_HOOKS, made, strict=True):
        if not isinstance(hook, SessionHook | None):
            raise TypeError(f"{module}.make_hook returns no SessionHook")
    return SessionHooks([hook for hook in made if hook is not None])
