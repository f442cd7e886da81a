"""Load shedding in a session."""

from typing import TYPE_CHECKING

import msgspec

from config.settings.schema import Settings
from recorder.model.status import LoadLine, SessionStatus
from recorder.program.armed_program import ArmedProgram
from recorder.session.hooks import SessionHook
from recorder.session.request import SessionRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorder.features.load_shedding.load_shedder import LoadShedder
    from recorder.program.video_track import FrameCounts


class LoadHook(SessionHook):
    """Sheds load from the start of the tracks on, unless the encoder has parameters of its own."""

    def __init__(self) -> None:
        self._armed: tuple[LoadShedder, Callable[[], FrameCounts]] | None = None

    def arm(self, program: ArmedProgram) -> None:
        if program.video.x264_params is not None:
            return
        from recorder.features.load_shedding.load_shedder import LoadShedder

        run = program.run
        shedder = LoadShedder(program.video, program.encoder, program.viewers, clock=run.clock, emit=run.emit)
        self.spacing = shedder.update
        self._armed = shedder, program.counts

    def describe(self, status: SessionStatus) -> SessionStatus:
        if self._armed is None:
            return status
        shedder, counts = self._armed
        line = LoadLine(
            steps=[step.value for step in shedder.taken],
            behind_s=round(shedder.behind_s, 2),
            busy=round(shedder.busy, 2),
            left_out=counts().left_out,
        )
        return msgspec.structs.replace(status, load=line)


def make_hook(asked: SessionRequest, settings: Settings) -> SessionHook | None:
    """Return the hook of a live session, unless the settings switch load shedding off."""
    return LoadHook() if asked.live and settings.video.step_down else None
