"""Threads that may less than the test, or to which the kernel refuses something: rights and filters are a thread's own.

Threads and processes that such a thread starts are confined as it is.
"""

import ctypes
import struct
import threading
from collections.abc import Callable

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
