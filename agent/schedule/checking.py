"""The check before a planned session: `liput check --quick`, as a process that the daemon does not wait for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent.checks.result import Verdict
from agent.own_command import OwnCommand, command_line, of_archive
from agent.schedule.plan import Mode, Plan
from devices.host.child import tied
from devices.host.clock import Clock
from recorder.archive.names import one_line

LONGEST_S = 90.0


def begin_check(plan: Plan, clock: Clock, config_file: Path | None, archive: Path | None = None) -> OwnCommand:
    """Begin a check; without `archive` that of the settings is recorded into. Raises OSError."""
    session = f"title = {json.dumps(one_line(plan.title) or plan.id, ensure_ascii=False)}\n".encode()
    command = tied(command_line(*words_of(plan), *of_archive(archive)))
    return OwnCommand(command, config_file, given=session, clock=clock, longest_s=LONGEST_S)


def problems_of(check: OwnCommand) -> list[str] | None:
    """Return what is not right, nothing where the room is ready; None while it is being checked."""
    try:
        said = check.answer()
        return None if said is None else list(_problems(msgspec.json.decode(said)))
    except TimeoutError:
        return [f"the check has not ended within {LONGEST_S:.0f} s"]
    except (msgspec.MsgspecError, AttributeError, TypeError):
        return ["the check did not run"]


def words_of(plan: Plan) -> list[str]:
    """Return the command that checks the room for a plan.

    With a session file it streams to the named destinations only; without one, any may be meant.
    """
    words = ["check", "--quick", "--json", "--for", f"{(plan.ends_at - plan.starts_at).total_seconds():.0f}s"]
    if plan.mode is not Mode.REMIND and not plan.streams:
        words += ["--session", "/dev/stdin"]
    for option, values in (("--video", plan.videos), ("--audio", plan.audios), ("--stream", plan.streams)):
        words += [word for value in values for word in (option, value)]
    return words + (["--profile", plan.profile] if plan.profile else [])


def _problems(document: Any) -> Iterator[str]:
    if document.get("type") == "error":
        yield str(document["message"])
        return
    for check in document["checks"]:
        if check["verdict"] == Verdict.FAILURE:
            yield f"{check['name']}: {check['reason']}"
