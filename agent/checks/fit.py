"""The profile that would fit, and how to take it: nothing is changed, only told."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from agent.checks.result import Result, Verdict
from agent.daemon.own_command import of_archive
from config.locale.lookup import Words, words
from config.settings.schema import Settings
from recorder.session.request import Asked

WORDS = words("check-fit")

FITS = ("fits", "fitting_profile")
_LINE = re.compile(r"\s*profile\s*=")


def fit(
    results: Sequence[Result], settings: Settings, asked: Asked, plan: Path | None, *, streams: bool
) -> list[Words]:
    """Say the best profile that fits all that was measured, and how to take it; a stream needs a measured uplink."""
    judged = [result for result in results if result.measured.keys() & set(FITS)]
    profile = asked.profile or settings.video.profile
    if not judged or (streams and not any(FITS[0] in result.measured for result in judged)):
        return [WORDS["unknown"]]
    named = [_named(result) for result in judged if result.verdict is not Verdict.OK]
    if not named:
        return [WORDS["stays"].filled({"profile": profile})]
    fitting = [name for name in named if name is not None]
    if len(fitting) < len(named):
        return [WORDS["none"]]
    smallest = min([profile, *fitting], key=lambda name: settings.profiles[name].video_bitrate)
    if smallest == profile:  # what is wrong is nothing that a smaller one would mend
        return [WORDS["stays"].filled({"profile": profile})]
    return list(_how(smallest, asked, plan))


def _named(result: Result) -> str | None:
    return next((str(result.measured[name]) for name in FITS if result.measured.get(name)), None)


def _how(profile: str, asked: Asked, plan: Path | None) -> Iterator[Words]:
    yield WORDS["take"].filled({"profile": profile})
    yield WORDS["command"].filled({"command": _command(msgspec.structs.replace(asked, profile=profile))})
    if plan is not None:
        line = _line_of(plan)
        yield (WORDS["change"] if line else WORDS["add"]).filled({"plan": plan, "line": line, "profile": profile})


def _command(asked: Asked) -> str:
    words = ["liput", "record", "--title", asked.title or "TITLE"]
    words += ["--request", asked.request.request.id] if asked.request is not None else []
    words += [word for video in asked.videos for word in ("--video", video)]
    words += [word for audio in asked.audios for word in ("--audio", audio)]
    words += [word for stream in asked.streams for word in ("--stream", stream)]
    words += ["--layout", asked.layout] if asked.layout is not None else []
    words += ["--isolate"] if asked.isolate else []
    if asked.conference is not None:
        words.append("--conference" if asked.conference else "--no-conference")
    words += ["--for", f"{asked.duration_s:g}s"] if asked.duration_s is not None else []
    return shlex.join([*words, *of_archive(asked.archive), "--profile", asked.profile or ""])


def _line_of(plan: Path) -> int | None:
    """Return the line of a plan that names the profile; it was read before, and is as it should be."""
    lines = plan.read_text(encoding="utf-8-sig").splitlines()
    return next((number for number, text in enumerate(lines, 1) if _LINE.match(text)), None)
