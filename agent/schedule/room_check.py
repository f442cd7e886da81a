"""The check of the room before a planned session: `liput check` as a child process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent.checks.check import CheckVerdict
from agent.daemon.command_child import CommandChild, archive_options, liput_command
from agent.schedule.plan import Plan, PlanMode
from config.locale.lookup import WRITTEN, LocalizedText, error_sentence, words
from devices.host.child import tie_to_parent
from devices.host.clock import Clock
from recorder.model.names import one_line

CHECK_S = 90.0


def begin_check(plan: Plan, clock: Clock, config_file: Path | None, archive: Path | None = None) -> CommandChild:
    """Start a check; without `archive` it tests that of the settings. Raises OSError."""
    session = f"title = {json.dumps(one_line(plan.title) or plan.id, ensure_ascii=False)}\n".encode()
    command = tie_to_parent(liput_command(*check_words(plan), *archive_options(archive)))
    return CommandChild(command, config_file, given=session, clock=clock, longest_s=CHECK_S)


def problems_of_room(check: CommandChild) -> list[LocalizedText] | None:
    """Return the problems found, empty if the room is ready; None while the check runs."""
    try:
        said = check.answer()
        return None if said is None else list(_problems(msgspec.json.decode(said)))
    except TimeoutError:
        return [error_sentence("not-ready", "")]
    except (msgspec.MsgspecError, AttributeError, TypeError, KeyError):
        return [error_sentence("failed", "")]


def check_words(plan: Plan) -> list[str]:
    """Return the words of the command that checks the room for a plan.

    With a session file, only the named destinations count; without one, all may.
    """
    words = ["check", "--quick", "--json", "--for", f"{(plan.ends_at - plan.starts_at).total_seconds():.0f}s"]
    if plan.mode is not PlanMode.REMIND and not plan.streams:
        words += ["--session", "/dev/stdin"]
    for option, values in (("--video", plan.videos), ("--audio", plan.audios), ("--stream", plan.streams)):
        words += [word for value in values for word in (option, value)]
    return words + (["--profile", plan.profile] if plan.profile else [])


def _problems(document: Any) -> Iterator[LocalizedText]:
    if document.get("type") == "error":
        yield error_sentence(str(document["why"]), str(document["about"]))
        return
    for check in document["checks"]:
        if check["verdict"] == CheckVerdict.FAILURE:
            kind, colon, what = check["name"].partition(": ")
            name = words("page").get(f"check.name.{kind}", LocalizedText(kind, kind))
            yield LocalizedText(
                *(f"{name.of(language)}{colon}{what}: {check[language]['reason']}" for language in WRITTEN)
            )
