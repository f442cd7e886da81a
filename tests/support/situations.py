"""What checks look at, made for a test."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.checks.check import CheckContext, CheckResult
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from devices.model.device import Device
from recorder.model.status import SessionState, SessionStatus, SourceLine
from recorder.running.client import RunningRecorder
from recorder.running.runtime_directory import RecorderFolder, new_recorder_info
from recorder.session.request import SessionRequest


def situation(
    asked: SessionRequest | None = None,
    settings: Settings | None = None,
    *,
    devices: Sequence[Device] = (),
    held: Mapping[str, SessionStatus | None] | None = None,
    quick: bool = True,
) -> CheckContext:
    """Return a situation of the profile that `asked` names; without it that of the settings."""
    asked, settings = asked or SessionRequest(title="Rapat"), settings or Settings()
    return CheckContext(
        asked=asked,
        settings=settings,
        profile=settings.profile(asked.profile),
        clock=SystemClock(),
        stop=threading.Event(),
        devices=lambda: list(devices),
        held=holding(held or {}),
        quick=quick,
    )


def holding(sessions: Mapping[str, SessionStatus | None]) -> Sequence[RunningRecorder]:
    """Return sessions that have something open, by their titles; None does not answer."""
    return [runs(title, status) for title, status in sessions.items()]


def runs(title: str, status: SessionStatus | None) -> RunningRecorder:
    """Return a session that runs, whose recorder cannot be asked anything."""
    info = new_recorder_info(title, Path("/arsip"), SystemClock().now())
    return RunningRecorder(RecorderFolder(Path("/nowhere") / info.id), info, status)


def session(state: SessionState, *sources: SourceLine, **more: Any) -> SessionStatus:
    """Return what a session in `state` says that has these sources, and more fields of its status."""
    status = SessionStatus(
        state=state, elapsed_s=0.0, media_time_s=0.0, bytes=0, frames=0, dropped=0, repeated=0, fps=0.0, levels_dbfs=[],
        disk_left_s=None, destinations=[], sources=list(sources),
    )  # fmt: skip
    return msgspec.structs.replace(status, **more)


def codes(results: Sequence[CheckResult]) -> list[tuple[str, str]]:
    return [(result.name, result.code) for result in results]
