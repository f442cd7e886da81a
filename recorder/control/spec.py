"""The standard streams of a recorder: the specification in, one line out (the handshake), then a log.

The specification is JSON: with addresses through a pipe, without them on disk. After the handshake, output of libraries
goes into a bounded file.
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
from recorder.running import runtime_directory
from recorder.running.protocol import RecorderFailure, RecorderReady, encode, to_failure
from recorder.session.request import SessionRequest

PASSED_VARIABLES = (
    "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
    "PULSE_SERVER", "PULSE_COOKIE", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR", "LIPUT_STATE", "XDG_STATE_HOME",
    "CREDENTIALS_DIRECTORY",
)  # fmt: skip
"""Variables for screens, sound, roles and keys; a daemon that resumes a session may have others."""
KEPT_VARIABLES = ("CREDENTIALS_DIRECTORY",)  # variables that a recorder keeps from its service manager
LARGEST_SPEC_BYTES = 1 << 20  # largest specification in bytes


class RecorderSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of a recorder; paths are relative to `folder`, `unsaved` names destinations without address."""

    asked: SessionRequest
    settings: Path | None = None  # settings file, None for the default one
    settings_text: str | None = None
    """The last valid text of the settings, "" without a file; used while the file is invalid."""
    folder: Path | None = None
    arm_only: bool = False  # whether the session waits for a start command
    preview: int | None = None
    """The pid of the daemon for which it only shows devices: small, last in priority, until anything else wants them
    or the daemon ends."""
    unsaved: tuple[str, ...] = ()
    replaces: str | None = None  # id of the killed recorder whose session is resumed
    plan: str | None = None  # id of the plan that started it, None for people
    environment: Mapping[str, str] | None = None
    """The recorder's ENVIRONMENT; None for a child, which inherits it, while a unit inherits nothing."""


def passed_environment() -> Mapping[str, str]:
    """Return our PASSED_VARIABLES."""
    return {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}


def encode_spec(spec: RecorderSpec) -> bytes:
    """Encode `spec` with addresses, for a pipe only."""
    # msgspec's JSON would not keep file names that are not UTF-8.
    return json.dumps(msgspec.to_builtins(spec, enc_hook=_plain)).encode()


def encode_spec_for_disk(spec: RecorderSpec) -> bytes:
    """Encode `spec` for the disk: names of destinations without addresses, and our ENVIRONMENT."""
    names = tuple(target.name for target in spec.asked.targets)
    asked = msgspec.structs.replace(spec.asked, targets=())
    bare = msgspec.structs.replace(spec, asked=asked, unsaved=(*spec.unsaved, *names), environment=passed_environment())
    return json.dumps(msgspec.to_builtins(bare, enc_hook=_plain), indent=2).encode() + b"\n"


def decode_spec(text: bytes) -> RecorderSpec:
    """Decode a specification. Raises UsageError, without repeating the text."""
    try:
        return msgspec.convert(json.loads(text), RecorderSpec, dec_hook=_typed)
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


def take_environment(environment: Mapping[str, str]) -> None:
    """Take over the environment of our starter, or of the killed recorder.

    The runtime directory stays our own. So do keys from our service manager: keys of another service vanish with it.
    """
    os.environ[runtime_directory.RUNTIME_VARIABLE] = str(runtime_directory.runtime_folder(make=True))
    own = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    for name in PASSED_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in environment.items() if name in PASSED_VARIABLES} | own)


LARGEST_LOG_BYTES = 512 * 1024


def redirect_output(path: Path) -> None:
    """Redirect standard output and error into `path`. Raises OSError."""
    flush_output()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(descriptor, STDOUT)
    os.dup2(descriptor, STDERR)
    os.close(descriptor)


def rotate_log(path: Path) -> None:
    """Rotate a full log: at most two files of LARGEST bytes stay."""
    try:
        if os.fstat(STDERR).st_size > LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".old"))
            redirect_output(path)
    except OSError:
        return  # the folder is gone: output is lost, and grows nowhere


STDIN, STDOUT, STDERR = 0, 1, 2


def flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # the reader is gone


class Handshake:
    """Keeps standard output for one line of this process; all other output goes to /dev/null."""

    def __init__(self) -> None:
        self._pipe = os.dup(STDOUT)
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)
        self.is_done = False

    def write_pid(self) -> None:
        """Write our pid, for the client of a unit."""
        os.set_blocking(STDIN, True)  # a service manager's socket may be non-blocking
        with contextlib.suppress(OSError):
            os.write(self._pipe, f"{os.getpid()}\n".encode())

    def say(self, line: RecorderReady | RecorderFailure) -> None:
        """Write the line once; a missing starter changes nothing."""
        if self.is_done:
            return
        self.is_done = True
        with contextlib.suppress(OSError):
            os.write(self._pipe, encode(line))
        with contextlib.suppress(OSError):
            os.close(self._pipe)

    def fail(self, error: Exception) -> int:
        """Write why there is no session; return the exit status."""
        told = to_failure(error)
        self.say(told)
        return told.exit_status
