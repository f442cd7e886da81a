"""A recorder: `python -m recorder.control.process`, a process that runs one session and outlives whoever started it.

On standard input it gets what it is asked to be (recorder.control.spec), up to the end of it. On standard output it
says one line: `ready`, with where it can be talked to, or `error`. After that, all else goes through its sockets. It
ends when its session has, or in order on SIGTERM; Ctrl-C and closed terminals are none of its business.
"""

import faulthandler
import os
import queue
import resource
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

# numpy's BLAS starts a thread per core at import, which nothing here uses; it must be said before the import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from config.errors import LiputError
from config.settings import load_settings
from devices.attending import attending
from devices.clock import Clock, SystemClock
from devices.holders import OURS
from recorder.control import directory
from recorder.control.asks import Inbox, hear
from recorder.control.handshake import Handshake
from recorder.control.protocol import Failure, failure
from recorder.control.spawn import SPARE
from recorder.control.spec import ENVIRONMENT, LONGEST, Spec, decode_spec


def main() -> int:
    """Be a recorder; the exit status is 0 whenever the session ended in order, however that went."""
    handshake = Handshake()
    inbox: Inbox = queue.SimpleQueue()
    hear(inbox)
    _call_ourselves(OURS)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys are in this process's memory
    if os.environ.pop(SPARE, None):
        from recorder.control import recorder  # noqa: F401 - what takes time is done when it is told what to record
    try:
        _record(decode_spec(sys.stdin.buffer.read(LONGEST)), handshake, inbox, SystemClock())
    except Exception as error:
        if not isinstance(error, LiputError):
            traceback.print_exc()
        told: Failure = failure(error)
        handshake.say(told)
        return told.exit_status
    return 0


def _record(spec: Spec, handshake: Handshake, inbox: Inbox, clock: Clock) -> None:
    # Only now: media libraries take half a second, and a client that waits may be told of a wrong word before.
    from devices.snapshot import list_devices
    from recorder.control.recorder import Recorder
    from recorder.planning import plan_session

    if spec.environment is not None:
        _take_environment(spec.environment)
    if spec.folder is not None:
        os.chdir(spec.folder)
    settings = load_settings(spec.settings)
    with attending(settings, clock, archive=spec.asked.archive) as (log, attendant):
        # What the attendant saw last costs nothing; before it has begun, and where it cannot watch, it is empty.
        planned = plan_session(
            spec.asked,
            settings,
            clock,
            log,
            lambda: attendant.devices() or list_devices(),
            going_on=spec.replaces is not None,
        )
        if planned.plan.context.devices:
            attendant.start()
        with Recorder(planned, spec, clock) as recorder:
            recorder.run(handshake, inbox)


def _take_environment(environment: Mapping[str, str]) -> None:
    """Have the variables of the recorder whose session is gone on with, and the runtime directory of the daemon."""
    os.environ[directory.VARIABLE] = str(directory.runtime_folder(make=True))
    for name in ENVIRONMENT:
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in environment.items() if name in ENVIRONMENT})


def _call_ourselves(name: str) -> None:
    """Be seen under this name: who asks what holds a camera should read it."""
    try:
        Path("/proc/self/comm").write_text(name)
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
