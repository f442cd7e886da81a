"""Processes and threads in tests: children, memory, CPU limits, priority, and threads with fewer rights."""

import contextlib
import ctypes
import hashlib
import json
import os
import re
import resource
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

CONNECTION = "recorder.live.child"


@contextlib.contextmanager
def limited(what: int, soft: int) -> Iterator[None]:
    """Let this process take no more than `soft` of a resource, as resource.RLIMIT_FSIZE."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process still runs; a dead one whose parent has yet to look at it does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children(module: str = CONNECTION, of: psutil.Process | None = None) -> list[psutil.Process]:
    """Return the children of a process (else of this one) that run `module`; not those that have ended meanwhile."""
    found = []
    for child in (of or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a dead one, which its parent has yet to look at, among them
            if module in child.cmdline():
                found.append(child)
    return found


def runs(name: str) -> int:
    """Return how many threads of this name run."""
    return sum(thread.name == name for thread in threading.enumerate())


_HEAP = 64 << 20


class Held(NamedTuple):
    """Megabytes of its own, and how many descriptors, threads and children (theirs too)."""

    own_mb: float
    descriptors: int
    threads: int
    children: int


def held(process: psutil.Process) -> Held:
    """Return what a process holds. Raises psutil.NoSuchProcess, OSError where it has just ended."""
    children = len(process.children(recursive=True))
    return Held(own_mb(process), process.num_fds(), process.num_threads(), children)


def own_mb(process: psutil.Process) -> float:
    """Return the memory that is its own; pages of libraries would count while no other process happens to have them."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"RssAnon:\s*(\d+) kB", status)
    return int(found.group(1)) / 1e3 if found else 0.0  # a zombie has none


def heaps(process: psutil.Process) -> int:
    """Return how many heaps of glibc its threads have: pieces of address space of 64 MB, most of it not in use yet."""
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *\n\2-([0-9a-f]+) ---p", maps, re.MULTILINE)
    return sum(int(begin, 16) % _HEAP == 0 and int(end, 16) == int(begin, 16) + _HEAP for begin, _, end in found)


REFERENCE_S = 0.1  # CPU seconds that `_work` takes there
_ROUNDS = 3


def slowness() -> float:
    """Return how many times as long as there the same work takes here and now, at least 1; it takes a moment."""
    return max(1.0, min(_cpu_s() for _ in range(_ROUNDS)) / REFERENCE_S)


def _cpu_s() -> float:
    began = time.process_time()
    _work()
    return time.process_time() - began


def _work() -> None:
    for number in range(10_000):
        text = json.dumps({"number": number, "words": [str(word) for word in range(50)]})
        hashlib.sha256(json.dumps(json.loads(text)).encode() * 4).hexdigest()


ROOT = Path(__file__).parents[2]
NOBODY = 65534
_ASK = """
import json, os, sys, threading
import msgspec
from devices.host import priority
from tests.support.processes import be_user, own_its_figures

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


_LIBC = ctypes.CDLL(None, use_errno=True)
_SYS_IOCTL, _SYS_SETGROUPS, _SYS_SETRESUID, _SYS_SETRESGID, _SYS_CAPSET = 16, 116, 117, 119, 126  # x86-64
_SET_DUMPABLE, _SET_SECCOMP, _DROP_BOUNDING, _SET_NO_NEW_PRIVS = 4, 22, 24, 38
_MODE_FILTER = 2
_CAPABILITIES = 41
_CAPABILITY_VERSION_3 = 0x20080522
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_AT_NUMBER, _AT_SECOND_ARGUMENT = 0, 24  # in struct seccomp_data


def confined[T](confine: Callable[[], None], act: Callable[[], T]) -> T:
    """Return what `act` does on a thread that has called `confine` before; raises what either raises."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            confine()
            done.append(act())
        except BaseException as error:  # raised below
            failed.append(error)

    thread = threading.Thread(target=run, name="confined")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def refuse_ioctl(request: int, code: int) -> None:
    """Let the kernel answer the ioctl `request` with the errno `code` from now on (seccomp)."""
    program = b"".join(
        struct.pack("=HBBI", *step)
        for step in (
            (_LOAD, 0, 0, _AT_NUMBER),
            (_IF_EQUAL, 0, 3, _SYS_IOCTL),
            (_LOAD, 0, 0, _AT_SECOND_ARGUMENT),
            (_IF_EQUAL, 0, 1, request),
            (_RETURN, 0, 0, _ERRNO | code),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    steps = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(steps)))
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(filter_))


def be_user(number: int) -> None:
    """Give up root's rights: be the user and the group `number`, and in no other group."""
    _syscall(_SYS_SETGROUPS, 0, 0)
    _syscall(_SYS_SETRESGID, number, number, number)
    _syscall(_SYS_SETRESUID, number, number, number)


def own_its_figures() -> None:
    """Have what is in /proc of this process belong to the user that it has become, as of one that was started so."""
    _prctl(_SET_DUMPABLE, 1)


def be_powerless_root() -> None:
    """Stay root, who may no more than the owner of a file may; so may what is started."""
    for capability in range(_CAPABILITIES):
        _prctl(_DROP_BOUNDING, capability)
    head = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    none = ctypes.create_string_buffer(24)
    _syscall(_SYS_CAPSET, ctypes.addressof(head), ctypes.addressof(none))


def _prctl(option: int, *arguments: int) -> None:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _check(_LIBC.prctl(option, *map(ctypes.c_ulong, padded)))


def _syscall(number: int, *arguments: int) -> None:
    _check(_LIBC.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments)))


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "the thread cannot be confined")
