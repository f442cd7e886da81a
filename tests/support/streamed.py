"""The situation of a session that is streamed, for tests of checks: from settings as people write them."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from agent.checks.check import CheckContext, CheckFunction, CheckProgress, CheckResult
from agent.checks.context import streams_of
from config.settings.schema import load_settings
from devices.host.clock import SystemClock
from recorder.model.status import SessionStatus
from recorder.session.request import SessionRequest
from tests.support.situations import holding


def streamed(
    folder: Path,
    settings: str,
    keys: str = "",
    *,
    streams: tuple[str, ...] = (),
    conference: bool | None = None,
    held: Mapping[str, SessionStatus | None] | None = None,
    public: bool = False,
) -> CheckContext:
    """Return it; `settings` and `keys` are what the two files hold."""
    (folder / "liput.toml").write_text(settings)
    (folder / "keys.toml").touch(0o600)
    (folder / "keys.toml").write_text(keys)
    read = load_settings(folder / "liput.toml")
    asked = SessionRequest(title="Wisuda", streams=streams, conference=conference)
    return CheckContext(
        asked=asked, settings=read, profile=read.profile(), streams=streams_of(asked, read, is_planned=False),
        clock=SystemClock(), stop=threading.Event(), devices=list, held=holding(held or {}), public=public,
    )  # fmt: skip


def looked(look: CheckFunction, situation: CheckContext) -> tuple[dict[str, CheckResult], list[CheckProgress]]:
    """Return what a check found, by name, and what it told meanwhile."""
    told: list[CheckProgress] = []
    found: Iterable[CheckResult] = list(look(replace(situation, on_progress=told.append)))
    return {result.name: result for result in found}, told


def codes(look: CheckFunction, situation: CheckContext) -> dict[str, str]:
    """Return the codes of what a check found, by name."""
    return {name: result.code for name, result in looked(look, situation)[0].items()}
