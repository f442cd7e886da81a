"""The process of a recorder, `python -m recorder.control.process`: runs one session and outlives its starter.

It reads its specification (recorder.control.spec) from standard input, and ends if that is empty. It writes one line to
standard output: `ready` with its folder, or `error`. All else goes through its sockets. It ends with its session, or in
order on SIGTERM; Ctrl-C and closed terminals do nothing. With `--unit`, started by a service manager, it writes its pid
first (recorder.control.launch).
"""

import faulthandler
import gc
import os
import queue
import resource
import signal
import sys
import traceback
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

# numpy's BLAS starts a thread per core at import, which nothing here uses.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The collector would scan all loaded objects again and again during imports; _record enables it.
if __name__ == "__main__":
    gc.disable()

import msgspec

from config.errors import LiputError
from config.settings.schema import load_settings
from devices.health.log_writer import open_health_log
from devices.host.clock import Clock, SystemClock
from devices.host.heap import share_heap
from devices.host.priority import ProcessPriority, ensure_niceness, request_priority
from devices.host.process import LIPUT_COMMAND, PREVIEW_COMMAND, take_command
from recorder.control.launch import SPARE_VARIABLE, UNIT_ARGUMENT
from recorder.control.spec import LARGEST_SPEC_BYTES, Handshake, RecorderSpec, decode_spec, take_environment
from recorder.running.access import our_umask
from recorder.running.runtime_directory import preview_lock, without_preview

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from devices.device_service import DeviceService
    from devices.model.device import Device
    from recorder.control.recorder import MainThreadInbox


PREVIEW_NICE = 10


def main() -> int:
    """Run a recorder; return 0 if the session ended in order, however it went."""
    share_heap()
    os.umask(our_umask())  # a unit installed by an older Liput has another umask
    handshake = Handshake()
    inbox: MainThreadInbox = queue.SimpleQueue()
    handle_signals(inbox)
    take_command(LIPUT_COMMAND)
    standing = request_priority()  # threads inherit it
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys are in this process's memory
    is_unit = UNIT_ARGUMENT in sys.argv[1:]
    if is_unit:
        handshake.write_pid()
    if os.environ.pop(SPARE_VARIABLE, None) or is_unit:
        _preload()  # loads before the specification arrives
    text = _read_specification()
    if not text:
        return 0  # the starter is gone
    try:
        _record(decode_spec(text), handshake, inbox, SystemClock(), standing)
    except Exception as error:
        if not isinstance(error, LiputError):
            traceback.print_exc()
        return handshake.fail(error)
    return 0


def _preload() -> None:
    """Import the modules of a session with devices. After a failure the session imports them again, and reports."""
    for name in ("recorder.control.recorder", "capture.sources.device_selector", "devices.device_service"):
        try:
            import_module(name)
        except Exception:
            traceback.print_exc()


def _read_specification() -> bytes:
    try:
        return sys.stdin.buffer.read(LARGEST_SPEC_BYTES)
    except ConnectionResetError:
        return b""


def _record(
    spec: RecorderSpec, handshake: Handshake, inbox: "MainThreadInbox", clock: Clock, standing: ProcessPriority
) -> None:
    # Media libraries load for half a second; errors of a specification are reported before.
    from recorder.control.recorder import Recorder
    from recorder.session.planning import plan_session, preview_settings

    gc.freeze()
    gc.enable()
    if spec.environment is not None:
        take_environment(spec.environment)
    if spec.folder is not None:
        os.chdir(spec.folder)
    settings = load_settings(spec.settings, spec.settings_text)
    if spec.preview:
        settings = preview_settings(settings)
        ensure_niceness(PREVIEW_NICE)
        take_command(PREVIEW_COMMAND)
    spec = msgspec.structs.replace(spec, settings_text=settings.text)  # for a recorder that resumes
    with ExitStack() as stack:
        stack.enter_context(preview_lock() if spec.preview else without_preview())
        log = stack.enter_context(open_health_log(settings, clock))
        service: DeviceService | None = None

        def new_service() -> "DeviceService":
            # It loads for 0.1 s, which a session without devices saves.
            from devices.device_service import DeviceService

            return DeviceService(log, settings, clock, archive=spec.asked.archive)

        def connected() -> "Sequence[Device]":
            from devices.device_service import connected_devices

            return connected_devices(service)

        plan = partial(plan_session, unattended=spec.replaces is not None or spec.plan is not None)
        if not spec.preview:  # its faults are the next session's to log
            plan = partial(plan, record=log)
        planned = plan(spec.asked, settings, clock, listing=connected)
        if planned.plan.context.devices:
            service = stack.enter_context(new_service())
            service.start()
        with Recorder(planned, spec, clock) as recorder:
            recorder.run(handshake, inbox, standing)


def handle_signals(inbox: "MainThreadInbox") -> None:
    """Turn SIGTERM into a request to end in order, and ignore signals of terminals."""

    def end(_number: int, _frame: "FrameType | None") -> None:
        if inbox.empty():  # any item ends the session
            inbox.put("end")

    def ignore(_number: int, _frame: "FrameType | None") -> None:
        """Do nothing. SIG_IGN would be inherited by children."""

    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, end)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # blocked by the starter


if __name__ == "__main__":
    sys.exit(main())
