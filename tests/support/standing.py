"""What a process is granted of the processor (devices/host/priority.py): a real one, within real limits."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOBODY = 65534
_ASK = """
import json, os, sys, threading
import msgspec
from devices.host import priority
from tests.support.confined import be_user, own_its_figures

def on_a_thread(act):
    found = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join()
    return found[0]

if len(sys.argv) > 1:  # not before: the code may lie in root's home, where others read nothing
    be_user(int(sys.argv[1]))
    own_its_figures()
may, got = priority.permitted_priority(), priority.request_priority()
nice = on_a_thread(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
policy = os.sched_getscheduler(0)
sound = priority.request_audio_priority()
policies = [policy, os.sched_getscheduler(0), on_a_thread(lambda: os.sched_getscheduler(0))]
print(json.dumps(msgspec.to_builtins({"may": may, "got": got, "thread": nice, "sound": sound, "policies": policies})))
"""


def asked(
    *, nice: int | None = None, realtime: int = 0, start: int = 0, user: int | None = NOBODY
) -> Mapping[str, object]:
    """Return what a process comes to, of `user` (None: our own), whose niceness is `start`.

    It is allowed to be as little nice as `nice` (None: the limits are as they are), and so much real time.
    Of its threads, `thread` is how nice one is, `policies` are before sound was asked for, after it, and of a thread.
    """

    def confine() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, start)
        if nice is not None:  # soft limits are its own to raise
            resource.setrlimit(resource.RLIMIT_NICE, (0, 20 - nice))
            resource.setrlimit(resource.RLIMIT_RTPRIO, (0, realtime))

    words = [sys.executable, "-c", _ASK, *([] if user is None else [str(user)])]
    done = subprocess.run(
        words, env=os.environ | {"PYTHONPATH": str(ROOT)}, preexec_fn=confine,
        capture_output=True, text=True, check=False, timeout=60, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: Mapping[str, object] = json.loads(done.stdout)
    return told


def figures(standing: object) -> tuple[int, int]:
    """Return the niceness and the real-time priority of what was told."""
    assert isinstance(standing, dict)
    return standing["nice"], standing["realtime"]
