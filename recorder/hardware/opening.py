"""The encoder of one session: chosen, opened, and replaced by x264 where it fails."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from config.events import Emit
from devices.host import threads
from devices.host.clock import Clock
from recorder.encoder import AudioSettings, Elsewhere, Encoder, EncodesPictures, OpenX264
from recorder.hardware.choice import Choice, EncoderPlan, Why, choose
from recorder.hardware.failure import HardwareFailed
from recorder.hardware.kinds import MODELS, Kind
from recorder.model.status import EncoderLine
from recorder.picture_stream import PictureStream
from recorder.x264 import VIDEO_TIME_BASE, VideoSettings, interval


def _remember(kind: Kind, settings: VideoSettings, error: HardwareFailed) -> None:
    from recorder.hardware.memory import remember_failure

    remember_failure(kind, settings, error)


class PictureEncoder:
    """Says what encodes a session's picture; `line` may be asked from any thread."""

    def __init__(
        self,
        plan: EncoderPlan,
        *,
        clock: Clock,
        emit: Emit,
        remembers: Callable[[Kind, VideoSettings, HardwareFailed], None] = _remember,
    ) -> None:
        """Choose nothing yet."""
        self._plan = plan
        self._clock = clock
        self._emit = emit
        self._remembers = remembers
        self._choice: Choice | None = None
        self._reason: str | None = None

    def open(
        self, video: VideoSettings, audio: AudioSettings | None, own_sounds: Mapping[str, AudioSettings] = {}
    ) -> Encoder:
        """Return the session's encoder; raises EncoderError where x264 cannot be opened either.

        Where something else than x264 is wished for and not known yet, it is tried first, which takes some seconds.
        """
        wish = self._plan.wish if video.x264_params is None else Kind.X264.value
        self._choice = choose(wish, video, self._plan.judge)
        self._reason = self._choice.reason
        if self._choice.kind is Kind.X264:
            return Encoder(video, audio, own_sounds)
        # Only now: most sessions are x264's.
        from recorder.hardware.pictures import HardwarePictures
        from recorder.hardware.process import EncoderProcess, wanted_of

        try:
            process = EncoderProcess(wanted_of(self._choice.kind, video), command=self._plan.command, clock=self._clock)
        except HardwareFailed as error:
            self._fail(error, video, 0)
            return Encoder(video, audio, own_sounds)

        def begin(open_x264: OpenX264) -> EncodesPictures:
            def take_over(error: HardwareFailed, begins: int, count: int) -> PictureStream:
                self._fail(error, video, count)
                return open_x264(begins)

            return HardwarePictures(process, VIDEO_TIME_BASE, interval(video), take_over)

        try:
            return Encoder(video, audio, own_sounds, Elsewhere(process.header, begin))
        except BaseException:
            process.close()
            raise

    def _fail(self, error: HardwareFailed, settings: VideoSettings, count: int) -> None:
        """Take note that x264 encodes from here on, and tell of it."""
        choice = self._choice
        assert choice is not None  # noqa: S101 - it was opened
        title = MODELS[choice.kind].title
        self._reason = f"{title}: {error.message}"
        self._choice = replace(choice, kind=Kind.X264, why=Why.FAILED)
        self._emit(
            "encoder-failed",
            title,
            f"{title} cannot be used any more, {error.message}; x264 encodes the picture from here on",
            encoder=choice.kind.value,
            reason=error.reason.value,
            detail=error.detail,
            encoded_again=count,
            goes_on=Kind.X264.value,
        )
        with suppress(RuntimeError):  # there are too many threads; a disk may hang, so it is not asked here
            threads.start(self._remembers, choice.kind, settings, error, name="encoder-memory")

    def line(self) -> EncoderLine | None:
        """Return what encodes; None before that is known."""
        choice = self._choice
        return EncoderLine(name=choice.kind.value, why=choice.why.value, reason=self._reason) if choice else None

    def facts(self) -> dict[str, object]:
        """Return what the event log should say of it."""
        line = self.line()
        return {"encoder": line.name, "encoder_why": line.why, "encoder_reason": line.reason} if line else {}
