"""Changing a request: the new one, with the change in its history."""

import platform
from datetime import datetime
from typing import Any

import msgspec

from config.account import account
from recorder.archive.names import storable
from recorder.dossier.model import Change, FieldChange, Request


def who() -> str:
    """Return who changes something, for the history: `login@host`."""
    return storable(f"{account()}@{platform.node()}")


def amended(request: Request, now: datetime, kind: str, *, note: str = "", **fields: object) -> Request:
    """Return `request` with `fields` changed, and the change in its history; unchanged where nothing would change."""
    changed = msgspec.structs.replace(request, **fields)
    before, after = _plain(request), _plain(changed)
    different = {
        name: FieldChange(before=before[name], after=after[name]) for name in fields if before[name] != after[name]
    }
    if not different and not note:
        return request
    change = Change(at=now, kind=kind, who=who(), note=note, fields=different)
    return msgspec.structs.replace(changed, history=(*request.history, change))


def _plain(request: Request) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(request, history=()))
    return plain
