"""What the program shows: the pictures of its inputs, and a slate in the place of each that is missing."""

from collections.abc import Sequence

import av

from capture.compose.slate import slate
from capture.kept import AbsenceKind
from capture.source import VideoFormat
from config.messages import Reason
from recorder.video_input import VideoInput

_REASONS = {
    AbsenceKind.MISSING: Reason.ABSENT,
    AbsenceKind.LOST: Reason.LOST,
    AbsenceKind.SILENT: Reason.NO_DATA,
}


class Slates:
    """Draws each slate once; the newest of each input is kept, since it may stay for hours."""

    def __init__(self, form: VideoFormat, language: str) -> None:
        self._form = form
        self._language = language
        self._drawn: dict[str, tuple[Reason, av.VideoFrame]] = {}

    def of(self, name: str, kind: AbsenceKind) -> av.VideoFrame:
        """Return the slate of the input called `name`, of the program's size."""
        reason = _REASONS[kind]
        kept = self._drawn.get(name)
        if kept is None or kept[0] is not reason:
            kept = (
                reason,
                slate(
                    self._form.width,
                    self._form.height,
                    name=name,
                    reason=reason,
                    language=self._language,
                    matrix=self._form.matrix,
                ),
            )
            self._drawn[name] = kept
        return kept[1]


class Scene:
    """The inputs of a program and how they are shown; used by the picture track's thread."""

    def __init__(self, inputs: Sequence[VideoInput], slates: Slates) -> None:
        self._inputs = inputs
        self._slates = slates

    @property
    def driver(self) -> VideoInput:
        """The input whose pictures the program follows: the first that is shown and gives any."""
        return next((shown for shown in self._inputs if shown.absence is None), self._inputs[0])

    @property
    def damaged(self) -> int:
        """How many pictures could not be decoded."""
        return sum(shown.counts.damaged for shown in self._inputs)

    def look(self, at_ns: int, fresh: VideoInput | None = None) -> None:
        """Find out which inputs are missing at `at_ns` of program time; the `fresh` one is not."""
        for shown in self._inputs:
            if shown is not fresh:
                shown.look(at_ns)

    def picture(self, at_ns: int, fresh: VideoInput | None = None) -> av.VideoFrame | None:
        """Return what is shown at `at_ns` of program time; None while there is nothing to be shown yet.

        `fresh` is the input whose picture was taken just now, if one was.

        It stays valid, and unchanged, until the next call but one.
        """
        self.look(at_ns, fresh)
        shown = self._inputs[0]
        if shown.absence is not None:
            return self._slates.of(shown.name, shown.absence.kind)
        return shown.picture
