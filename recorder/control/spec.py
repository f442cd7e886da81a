"""What a recorder is asked to be, as JSON: through a pipe with everything, on disk without addresses."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.errors import UsageError
from config.settings.secrets import Secret, secret_url
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
