"""When and where a program shows slides, from what the session's layouts are and from its log."""

from bisect import bisect_right
from collections.abc import Iterable

from config.json_text import number
from recorder.archive.wishes import SlidesView, SlideWishes
from recorder.runs import Line, runs
from recorder.troubles import AWAY_KINDS


class Spans:
    """The parts of a program in each of which slides are seen in one place, or nowhere."""

    def __init__(self, wishes: SlideWishes, lines: Iterable[Line]) -> None:
        """`lines` are those of the session's log."""
        self._wishes = wishes
        self._spans: list[tuple[float, SlidesView | None]] = []
        for run in runs(lines):
            self._view = wishes.views.get(wishes.layout)
            self._is_away = False
            self._offset_s = run.offset_s
            for line in run.armed:  # what holds when it begins to record; its times lie before that
                self._follow(line)
            self._begin(0.0)
            for line in run.recording:
                if (media_s := self._follow(line)) is not None:
                    self._begin(media_s)

    def view(self, at_s: float) -> SlidesView | None:
        """Return where slides are at `at_s` of media time; None where none are seen."""
        place = bisect_right(self._spans, at_s, key=lambda span: span[0])
        return self._spans[max(0, place - 1)][1]

    def _follow(self, line: Line) -> float | None:
        """Take note of a line; return since when slides are seen elsewhere, or nowhere, if it tells of that."""
        kind, subject, detail = str(line.get("kind")), str(line.get("subject")), line["detail"]
        if kind == "layout-changed":
            self._view = self._wishes.views.get(subject)
            return number(detail.get("media_s")) or 0.0
        if subject in self._wishes.inputs and kind in AWAY_KINDS and "since_s" in detail:
            self._is_away = True  # a slate with a sentence is no slide
            return number(detail.get("since_s")) or 0.0
        if subject in self._wishes.inputs and kind == "source-returned":
            self._is_away = False
            return number(detail.get("at_s")) or 0.0
        return None

    def _begin(self, media_s: float) -> None:
        last_s = self._spans[-1][0] if self._spans else 0.0
        self._spans.append((max(self._offset_s + media_s, last_s), None if self._is_away else self._view))
