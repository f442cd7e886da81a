"""The standard streams of a recorder: it reads a specification, and answers with one line (the handshake).

The specification is JSON: with addresses through a pipe, without them on disk. After the handshake, output of
libraries goes into a bounded file.
"""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.errors import UsageError
from config.settings.secrets import Secret, secret_url
from recorder.running.protocol import Failure, Ready, encode
from recorder.session.request import Asked

ENVIRONMENT = (
    "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
    "PULSE_SERVER", "PULSE_COOKIE", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR", "LIPUT_STATE", "XDG_STATE_HOME",
    "CREDENTIALS_DIRECTORY",
)  # fmt: skip
"""Variables by which screens, sound, roles and a service's keys are found: the daemon that goes on may have others."""
OWN = ("CREDENTIALS_DIRECTORY",)
"""Those of them that a recorder keeps which has them from its service manager."""
LONGEST = 1 << 20
"""Bytes of a specification; more is none."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a recorder is asked to be.

    Relative paths in it are meant from `folder`. `unsaved` names the destinations that were given by an address alone:
    a specification from the disk has them no more.
    """

    asked: Asked
    settings: Path | None = None
    """The settings file, None for the one in force."""
    settings_text: str | None = None
    """What that said when nothing was wrong with it last, "" where there was none: it holds where something is now."""
    folder: Path | None = None
    arm_only: bool = False
    """Whether it waits for a command to start."""
    unsaved: tuple[str, ...] = ()
    replaces: str | None = None
    """The id of the recorder that was killed, where its session is gone on with."""
    plan: str | None = None
    """The id of the plan (agent/schedule/plan.py) that it was begun for, None where people have begun it."""
    environment: Mapping[str, str] | None = None
    """What a recorder had of ENVIRONMENT; None in the first one's, which inherits it from whoever starts it.

    A unit of the service manager inherits nothing: it is told what its client has of ENVIRONMENT.
    """


def encode_spec(spec: Spec) -> bytes:
    """Return `spec` with the addresses in it, for a pipe and nothing else."""
    # Not msgspec's JSON: names of files need not be UTF-8, and this keeps each byte of them.
    return json.dumps(msgspec.to_builtins(spec, enc_hook=_plain)).encode()


def saved_spec(spec: Spec) -> bytes:
    """Return `spec` as it may be written to a disk: of addresses the names only; with our ENVIRONMENT."""
    names = tuple(target.name for target in spec.asked.targets)
    asked = msgspec.structs.replace(spec.asked, targets=())
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    bare = msgspec.structs.replace(spec, asked=asked, unsaved=(*spec.unsaved, *names), environment=environment)
    return json.dumps(msgspec.to_builtins(bare, enc_hook=_plain), indent=2).encode() + b"\n"


def decode_spec(text: bytes) -> Spec:
    """Return what `text` asks for; raises UsageError where it asks for nothing that we know. Repeats none of it."""
    try:
        return msgspec.convert(json.loads(text), Spec, dec_hook=_typed)
    except (ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, msgspec.ValidationError) else "it is no JSON"
        raise UsageError(f"this is no specification of a recorder: {what}", hint="liput record makes one") from None


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value))


def _typed(kind: type, value: object) -> object:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    if kind is Secret:
        return secret_url(value)
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(kind)


LARGEST = 512 * 1024


def print_into(path: Path) -> None:
    """Turn standard output and error of this process to the file `path` from now on; raises OSError."""
    flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(descriptor, STDOUT)
    os.dup2(descriptor, STDERR)
    os.close(descriptor)


def bound_printed(path: Path) -> None:
    """Begin `path` anew if it is full, keeping the one before: of twice LARGEST bytes the older go."""
    try:
        if os.fstat(STDERR).st_size > LARGEST:
            path.replace(path.with_suffix(".old"))
            print_into(path)
    except OSError:
        return  # the folder has gone: what is printed goes nowhere that grows


STDIN, STDOUT, STDERR = 0, 1, 2


def flush() -> None:
    """Hand over what Python has not written yet."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # nobody reads it any more


class Handshake:
    """Takes standard output away from everything else in this process, for one line."""

    def __init__(self) -> None:
        self._pipe = os.dup(STDOUT)
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)
        self.is_done = False

    def say_number(self) -> None:
        """Write which process we are, for a client that has not started it itself."""
        os.set_blocking(STDIN, True)  # a service manager's socket need not be so
        with contextlib.suppress(OSError):
            os.write(self._pipe, f"{os.getpid()}\n".encode())

    def say(self, line: Ready | Failure) -> None:
        """Write the line, once; whoever started us may have gone, and that changes nothing."""
        if self.is_done:
            return
        self.is_done = True
        with contextlib.suppress(OSError):
            os.write(self._pipe, encode(line))
        with contextlib.suppress(OSError):
            os.close(self._pipe)
