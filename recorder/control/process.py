"""A recorder: `python -m recorder.control.process`, a process that runs one session and outlives its starter.

It reads its specification (recorder.control.spec) from standard input; where that is empty, it ends. It writes one
line to standard output: `ready`, with its folder, or `error`; all else goes through its sockets. It ends with its
session, or in order on SIGTERM; Ctrl-C and closed terminals do nothing. With `--unit` a service manager has started it,
and it writes its number first (recorder.control.launched).
"""

import contextlib
import faulthandler
import gc
import os
import queue
import resource
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

# numpy's BLAS starts a thread per core at import, which nothing here uses; it must be said before the import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The collector would look through all that libraries make again and again while they are loaded; _record turns it on.
if __name__ == "__main__":
    gc.disable()

import msgspec

from config.errors import LiputError, SettingsError
from config.settings.loading import find_file, load_with_text, settings_of
from config.settings.schema import Settings
from devices.health.log import open_health_log
from devices.host import heap
from devices.host.clock import Clock, SystemClock
from devices.host.priority import Standing, ask
from devices.host.process_stat import OURS
from recorder.control.launched import SPARE, UNIT
from recorder.control.spec import ENVIRONMENT, LONGEST, OWN, Handshake, Spec, decode_spec
from recorder.running import directory
from recorder.running.access import umask
from recorder.running.protocol import Failure, failure

if TYPE_CHECKING:
    from types import FrameType

    from devices.model.device import Device
    from devices.service import DeviceService
    from recorder.control.recorder import Inbox
    from recorder.features.profiler.profile import StageProfile


def main() -> int:
    """Be a recorder; the exit status is 0 whenever the session ended in order, however that went."""
    heap.share()
    os.umask(umask())  # a unit of the service manager that was installed by an older Liput has another
    handshake = Handshake()
    inbox: Inbox = queue.SimpleQueue()
    hear(inbox)
    _call_ourselves(OURS)
    standing = ask()  # before there are threads, which inherit it
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys are in this process's memory
    is_unit = UNIT in sys.argv[1:]
    if is_unit:
        handshake.say_number()
    if os.environ.pop(SPARE, None) or is_unit:
        _load()  # what takes time is done when it is told what to record
    text = _asked()
    if not text:
        return 0  # nobody wants us any more
    try:
        _record(decode_spec(text), handshake, inbox, SystemClock(), standing)
    except Exception as error:
        if not isinstance(error, LiputError):
            traceback.print_exc()
        told: Failure = failure(error)
        handshake.say(told)
        return told.exit_status
    return 0


def _load() -> None:
    """Load all that sessions with devices take. Where that fails, the session that needs it tries again, and tells."""
    for name in ("recorder.control.recorder", "capture.sources.device_choice", "devices.service"):
        try:
            import_module(name)
        except Exception:
            traceback.print_exc()


def _asked() -> bytes:
    """Return what we are asked to be, empty where whoever was to say that has gone."""
    try:
        return sys.stdin.buffer.read(LONGEST)
    except ConnectionResetError:
        return b""


def _record(spec: Spec, handshake: Handshake, inbox: "Inbox", clock: Clock, standing: Standing) -> None:
    # Only now: media libraries take half a second, and a client that waits may be told of a wrong word before.
    from capture.timing import untimed
    from recorder.control.recorder import Recorder
    from recorder.session.planning import plan_session

    gc.freeze()
    gc.enable()
    if spec.environment is not None:
        _take_environment(spec.environment)
    if spec.folder is not None:
        os.chdir(spec.folder)
    settings, spec = _settings_of(spec)
    profile = _profile() if spec.asked.profile_stages else None
    with profile or contextlib.nullcontext(), ExitStack() as stack:
        log = stack.enter_context(open_health_log(settings, clock))
        service: DeviceService | None = None
        planned = plan_session(
            spec.asked,
            settings,
            clock,
            log,
            lambda: plugged_in(service),
            unattended=spec.replaces is not None or spec.plan is not None,
            timing=profile.timing if profile else untimed,
        )
        if planned.plan.context.devices:
            # It takes a tenth of a second to load, and a session without a device has none of it.
            from devices.service import device_service

            service = stack.enter_context(device_service(log, settings, clock, archive=spec.asked.archive))
            service.start()
        with Recorder(planned, spec, clock, profile) as recorder:
            recorder.run(handshake, inbox, standing)


def _settings_of(spec: Spec) -> tuple[Settings, Spec]:
    """Return the settings as they are now, and `spec` with what their file says, for whoever goes on with the session.

    Where the file has become wrong, or is gone, they are what it said when it was right last.
    """
    try:
        settings, text = load_with_text(spec.settings)
    except SettingsError:
        file = find_file(spec.settings)
        if file is None or spec.settings_text is None:
            raise
        text = spec.settings_text
        settings = settings_of(text, file.absolute() if text else None)
    return settings, msgspec.structs.replace(spec, settings_text=text)


def _profile() -> "StageProfile":
    from recorder.features.profiler.profile import StageProfile  # few sessions are asked to tell what they take

    return StageProfile()


def plugged_in(service: "DeviceService | None") -> "Sequence[Device]":
    """Return what is plugged in: what the device service saw last costs nothing.

    Before it has begun, and where it cannot watch, it knows of none; one whose monitor has broken, what was there then.
    """
    if service and service.is_watching and (seen := service.devices()):
        return seen
    from devices.monitor.snapshot import list_devices

    return list_devices()


def hear(inbox: "Inbox") -> None:
    """Take SIGTERM for a wish to end in order, and no notice of what terminals send."""

    def end(_number: int, _frame: "FrameType | None") -> None:
        if inbox.empty():  # what is in it ends the session, too
            inbox.put("end")

    def ignore(_number: int, _frame: "FrameType | None") -> None:
        """Do nothing. Not SIG_IGN, which children would inherit."""

    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, end)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # whoever started us has blocked it until now


def _take_environment(environment: Mapping[str, str]) -> None:
    """Have the variables of whoever started us, or of the recorder whose session is gone on with.

    The runtime directory is our own, and so are keys that the service manager gave us: those of another service are
    gone when that one ends.
    """
    os.environ[directory.VARIABLE] = str(directory.runtime_folder(make=True))
    own = {name: os.environ[name] for name in OWN if name in os.environ}
    for name in ENVIRONMENT:
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in environment.items() if name in ENVIRONMENT} | own)


def _call_ourselves(name: str) -> None:
    """Be seen under this name: who asks what holds a camera should read it."""
    try:
        Path("/proc/self/comm").write_text(name)
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
