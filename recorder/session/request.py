"""What a person asked a session to be. Light to import: the clients of a recorder need it and no media library."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from config.settings.secrets import StreamTarget
from devices.model.device import Device
from recorder.package.manifest import Consent
from recorder.package.request import CarriedRequest


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for; None where the best, or the settings', is meant."""

    title: str
    videos: tuple[str, ...] = ()
    """Words for sources of pictures, the first of them the program's main one; none: the best that is plugged in."""
    audios: tuple[str, ...] = ()
    """The same for sound; the word `none` for no sound."""
    allow_missing: bool = False
    """Whether a slate, or silence, may stand from the start for what was named and is not there.

    It always may for what nobody named.
    """
    layout: str | None = None
    muted: tuple[str, ...] = ()
    """Inputs of sound that are not heard from the beginning."""
    conference: bool | None = None
    """Whether a conference gets a picture and sound of its own; None as the settings have it."""
    isolate: bool = False
    """Whether each source is also recorded apart."""
    duration_s: float | None = None
    live: bool = True
    streams: Sequence[str] = ()
    targets: Sequence[StreamTarget] = ()
    """Destinations beside those that `streams` names."""
    profile: str | None = None
    archive: Path | None = None
    reserve: int | None = None
    """Bytes that must stay free."""
    resume: Path | None = None
    """A work folder of the session that is gone on with: its recorder was killed (recorder.recovery.resume)."""
    checked: Mapping[str, Any] | None = None
    """What the check before it found, as `liput check --json` says it."""
    request: CarriedRequest | None = None
    """The request that it is for."""
    records: Mapping[str, str] = {}
    """What records management says of this session alone: fields of recorder.package.manifest.Records."""
    consent: Consent = Consent()
    """Whether the speakers agreed to being recorded."""
    profile_stages: bool = False
    """Whether it is told what the processor's time went into (recorder/features/profiler)."""
    known: tuple[Device, ...] = ()
    """Devices among the sources, as its recorder knew them: they are known again when they are not there now."""
