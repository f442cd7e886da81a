"""How checks are shown: a line each as they come, on a terminal what still goes on below; JSON for programs."""

import sys
from collections.abc import Sequence
from typing import Self

import msgspec

from agent.checks.check import Check, News, Progress
from agent.checks.history import Checked, document
from agent.checks.result import Result, Verdict, is_cancelled
from agent.terminal.terminal import can_redraw
from config.locale.lookup import Words, words

WORDS = words("check-any")

MARKS = {Verdict.OK: "OK", Verdict.UNCHECKED: "--", Verdict.WARNING: "!", Verdict.FAILURE: "X"}
"""What stands in front of a line: also without colours, and where the letters are few."""
_STYLES = {Verdict.OK: "green", Verdict.UNCHECKED: "dim", Verdict.WARNING: "yellow", Verdict.FAILURE: "bold red"}
_WIDTH = 2


class Shown:
    """Lines of text, for a log or a pipe; a context manager around the run, called with what becomes of each check."""

    def __init__(self, language: str) -> None:
        self._language = language

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, check: Check, news: News) -> None:
        """Show that a check has begun, how far it is, or what it found."""
        if news is None:
            self.began(check)
        elif isinstance(news, Progress):
            self.progress(check, news)
        else:
            self.ended(check, news)

    def began(self, check: Check) -> None:
        """Show nothing: what goes on does not stay."""

    def progress(self, check: Check, progress: Progress) -> None:
        """Show what has to be read before it happens."""
        if progress.notice:
            title, doing = check.title.of(self._language), progress.doing.of(self._language)
            self.show(f"{'':<{_WIDTH}} {title}: {doing}", Verdict.UNCHECKED)

    def ended(self, check: Check, results: Sequence[Result]) -> None:
        """Show a line for each result, and what to do about it below."""
        for result in results:
            for line in self.lines(check.title, result):
                self.show(line, result.verdict)

    def lines(self, title: Words, result: Result) -> list[str]:
        """Return a result as lines of text."""
        of_what = result.name.partition(": ")[2]
        name = f"{title.of(self._language)} ({of_what})" if of_what else title.of(self._language)
        lines = [f"{MARKS[result.verdict]:<{_WIDTH}} {name}: {result.reason.of(self._language)}"]
        if advice := result.advice.of(self._language):
            lines.append(f"{'':<{_WIDTH}}   -> {advice}")
        return lines

    def verdict(self, checked: Checked) -> None:
        """Show the whole's verdict."""
        counts = {verdict: sum(result.verdict is verdict for result in checked.results) for verdict in Verdict}
        worst = Verdict.OK if checked.ready else Verdict.FAILURE
        words = WORDS["ready"] if checked.ready else WORDS["not-ready"]
        cancelled = sum(map(is_cancelled, checked.results))
        if checked.ready and counts[Verdict.WARNING]:
            words, worst = WORDS["warned"], Verdict.WARNING
        elif cancelled:
            words = WORDS["cancelled"]
        facts = {
            "warnings": counts[Verdict.WARNING], "failures": counts[Verdict.FAILURE], "cancelled": cancelled,
        }  # fmt: skip
        self.show(words.filled(facts).of(self._language), worst)

    def show(self, line: str, verdict: Verdict) -> None:  # noqa: ARG002 - colours are for terminals
        """Print one line."""
        print(line, flush=True)


class LiveShown(Shown):
    """On a terminal: what is done stays, what goes on is below, with how far it is."""

    def __init__(self, language: str) -> None:
        super().__init__(language)
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Bars

        from agent.terminal.console import Console

        self._console = Console()
        self._bars = Bars(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=20),
            console=self._console, transient=True,
        )  # fmt: skip
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def began(self, check: Check) -> None:
        """Show that it goes on."""
        self._tasks[check.name] = self._bars.add_task(check.title.of(self._language), total=None)

    def progress(self, check: Check, progress: Progress) -> None:
        """Show how far it is, and what it does."""
        super().progress(check, progress)
        title, doing = check.title.of(self._language), progress.doing.of(self._language)
        description = f"{title}: {doing}" if doing else title
        self._bars.update(self._tasks[check.name], total=1.0, completed=progress.share, description=description)  # type: ignore[arg-type]

    def ended(self, check: Check, results: Sequence[Result]) -> None:
        """Take its bar away, and show what it found."""
        if check.name in self._tasks:
            self._bars.remove_task(self._tasks.pop(check.name))  # type: ignore[arg-type]
        super().ended(check, results)

    def show(self, line: str, verdict: Verdict) -> None:
        """Print one line in its colour."""
        self._console.print(line, style=_STYLES[verdict])


class JsonShown(Shown):
    """One JSON document at the end, of the type `kind`; nothing before it."""

    def __init__(self, language: str, kind: str) -> None:
        super().__init__(language)
        self._kind = kind

    def ended(self, check: Check, results: Sequence[Result]) -> None:
        """Say nothing: it is all in the document."""

    def show(self, line: str, verdict: Verdict) -> None:  # noqa: ARG002 - colours are for terminals
        """Print a notice where it does not stand in the way of the document."""
        print(line.strip(), file=sys.stderr, flush=True)

    def verdict(self, checked: Checked) -> None:
        """Print the document."""
        print(msgspec.json.encode(document(checked, self._language, self._kind)).decode(), flush=True)


def shown(language: str, *, as_json: bool, kind: str = "check") -> Shown:
    """Return what shows checks here, or something else of that `kind` with the same results."""
    if as_json:
        return JsonShown(language, kind)
    return LiveShown(language) if can_redraw() else Shown(language)
