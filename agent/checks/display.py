"""Shows checks: finished ones line by line, running ones below on a terminal; JSON for programs."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from agent.checks.check import Check, CheckNews, CheckProgress, CheckResult, CheckVerdict, is_cancelled
from agent.checks.history import CheckRun, run_document
from agent.daemon.command_child import archive_options
from agent.terminal.terminal import can_redraw
from config.locale.lookup import LocalizedText, words
from config.settings.schema import Settings
from recorder.session.request import SessionRequest

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

WORDS = words("check-any")

MARKS = {CheckVerdict.OK: "OK", CheckVerdict.UNCHECKED: "--", CheckVerdict.WARNING: "!", CheckVerdict.FAILURE: "X"}
"""Marks before each line, readable without colours."""
_STYLES = dict(zip(CheckVerdict, ("green", "dim", "yellow", "bold red"), strict=True))
_WIDTH = 2


class CheckDisplay:
    """Prints the results of checks as lines; with `bars`, on a terminal, running checks follow below them.

    A context manager around the run, called with the news of each check.
    """

    def __init__(self, language: str, bars: "Progress | None" = None) -> None:
        self.bars = bars
        self._language = language
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self.bars:
            self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bars:
            self.bars.stop()

    def __call__(self, check: Check, news: CheckNews) -> None:
        title = check.title.of(self._language)
        if isinstance(news, CheckProgress):
            doing = f"{title}: {news.doing.of(self._language)}"
            if news.notice:
                self.show(f"{'':<{_WIDTH}} {doing}", CheckVerdict.UNCHECKED)
            if self.bars:
                self.bars.update(self._tasks[check.name], total=1.0, completed=news.share, description=doing)
        elif news is not None:
            if self.bars and check.name in self._tasks:
                self.bars.remove_task(self._tasks.pop(check.name))
            self.ended(title, news)
        elif self.bars:
            self._tasks[check.name] = self.bars.add_task(title, total=None)

    def ended(self, title: str, results: Sequence[CheckResult]) -> None:
        """Show each result on a line, and its advice below."""
        for result in results:
            of_what = result.name.partition(": ")[2]
            name = f"{title} ({of_what})" if of_what else title
            self.show(f"{MARKS[result.verdict]:<{_WIDTH}} {name}: {result.reason.of(self._language)}", result.verdict)
            for advice in filter(None, (result.advice.of(self._language), result.for_it.of(self._language))):
                self.show(f"{'':<{_WIDTH}}   -> {advice}", result.verdict)

    def verdict(self, checked: CheckRun) -> None:
        counts = {verdict: sum(result.verdict is verdict for result in checked.results) for verdict in CheckVerdict}
        worst = CheckVerdict.OK if checked.ready else CheckVerdict.FAILURE
        words = WORDS["ready"] if checked.ready else WORDS["not-ready"]
        cancelled = sum(map(is_cancelled, checked.results))
        if checked.ready and counts[CheckVerdict.WARNING]:
            words, worst = WORDS["warned"], CheckVerdict.WARNING
        elif cancelled:
            words = WORDS["cancelled"]
        facts = {
            "warnings": counts[CheckVerdict.WARNING], "failures": counts[CheckVerdict.FAILURE], "cancelled": cancelled,
        }  # fmt: skip
        self.show(words.filled(facts).of(self._language), worst)

    def show(self, line: str, verdict: CheckVerdict) -> None:
        if self.bars:
            self.bars.console.print(line, style=_STYLES[verdict])
        else:
            print(line, flush=True)


class JsonCheckDisplay(CheckDisplay):
    """Prints one JSON document of type `kind` at the end, and nothing before."""

    def __init__(self, language: str, kind: str) -> None:
        super().__init__(language)
        self._kind = kind

    def ended(self, title: str, results: Sequence[CheckResult]) -> None:
        """Show nothing: the document has all results."""

    def show(self, line: str, verdict: CheckVerdict) -> None:  # noqa: ARG002 - colours are for terminals
        """Print a notice to standard error."""
        print(line.strip(), file=sys.stderr, flush=True)

    def verdict(self, checked: CheckRun) -> None:
        print(msgspec.json.encode(run_document(checked, self._language, self._kind)).decode(), flush=True)


def check_display(language: str, *, as_json: bool, kind: str = "check") -> CheckDisplay:
    """Return the display for this output; `kind` is the type of the JSON document."""
    if as_json:
        return JsonCheckDisplay(language, kind)
    return CheckDisplay(language, _bars() if can_redraw() else None)


def _bars() -> "Progress":
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    from agent.terminal.console import Console

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=20)
    return Progress(*columns, console=Console(), transient=True)


FIT_WORDS = words("check-fit")

FITS = ("fits", "fitting_profile")
_LINE = re.compile(r"\s*profile\s*=")


def fitting_advice(
    results: Sequence[CheckResult], settings: Settings, asked: SessionRequest, plan: Path | None, *, streams: bool
) -> list[LocalizedText]:
    """Name the best profile that fits all measurements, and the command for it; a stream needs a measured uplink."""
    judged = [result for result in results if result.measured.keys() & set(FITS)]
    profile = asked.profile or settings.video.profile
    if not judged or (streams and not any(FITS[0] in result.measured for result in judged)):
        return [FIT_WORDS["unknown"]]
    tight = [result.measured for result in judged if result.verdict is not CheckVerdict.OK]
    fitting = [next((str(measured[name]) for name in FITS if measured.get(name)), "") for measured in tight]
    if not all(fitting):
        return [FIT_WORDS["none"]]
    smallest = min([profile, *fitting], key=lambda name: settings.profiles[name].video_bitrate)
    if smallest == profile:  # it fits, or a smaller profile would not mend this
        return [FIT_WORDS["stays"].filled({"profile": profile})]
    return list(_how_to_take(smallest, asked, plan))


def _how_to_take(profile: str, asked: SessionRequest, plan: Path | None) -> Iterator[LocalizedText]:
    yield FIT_WORDS["take"].filled({"profile": profile})
    yield FIT_WORDS["command"].filled({"command": _command(msgspec.structs.replace(asked, profile=profile))})
    if plan is not None:
        lines = enumerate(plan.read_text(encoding="utf-8-sig").splitlines(), 1)
        line = next((number for number, text in lines if _LINE.match(text)), None)
        yield (FIT_WORDS["change"] if line else FIT_WORDS["add"]).filled(
            {"plan": plan, "line": line, "profile": profile}
        )


def _command(asked: SessionRequest) -> str:
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
    return shlex.join([*words, *archive_options(asked.archive), "--profile", asked.profile or ""])
