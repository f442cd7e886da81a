"""A person's request for a session. Loads no media library: clients of recorders import it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from config.settings.secrets import StreamTarget
from devices.model.device import Device
from recorder.package.metadata import Consent
from recorder.package.request import CarriedRequest


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request; None stands for the settings' value, or the best."""

    title: str
    videos: tuple[str, ...] = ()  # words for video sources, the main one first; empty for the best one plugged in
    audios: tuple[str, ...] = ()  # words for audio sources; `none` for no audio
    allow_missing: bool = False  # whether named sources may be missing at the start; sources chosen by Liput always may
    layout: str | None = None
    muted: tuple[str, ...] = ()  # audio inputs muted from the beginning
    conference: bool | None = None  # whether a conference gets video and audio; None for the settings' value
    isolate: bool = False  # whether to make iso recordings
    duration_s: float | None = None
    live: bool = True
    streams: Sequence[str] = ()
    targets: Sequence[StreamTarget] = ()  # destinations besides `streams`
    profile: str | None = None
    archive: Path | None = None
    reserve: int | None = None  # bytes that must stay free
    resume: Path | None = None  # a work folder of the killed session to continue (recorder.recovery.resume)
    checked: Mapping[str, Any] | None = None  # findings of the check before it, as in `liput check --json`
    request: CarriedRequest | None = None  # the office's request for this session
    records: Mapping[str, str] = {}  # fields of recorder.package.metadata.Records
    consent: Consent = Consent()  # the speakers' consent to the recording
    practice: bool = False  # whether it is no event, and counts for no request
    profile_stages: bool = False  # whether to profile its CPU (recorder/features/profiler)
    known: tuple[Device, ...] = ()  # devices that an earlier recorder knew; they may be missing
