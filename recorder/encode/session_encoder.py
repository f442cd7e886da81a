"""Chooses, opens and replaces a session's video encoder; keeps verdicts on hardware until the next boot."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from config.errors import StateError
from config.events import Emit
from config.state import StateFile, state_folder
from config.version import VERSION
from devices.host import threads
from devices.host.clock import Clock, boot_id
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.hardware_kinds import (
    HARDWARE,
    MODELS,
    WORKER,
    EncoderFailure,
    EncoderKind,
    EncoderVerdict,
    HardwareFailed,
    failure_text,
)
from recorder.encode.x264 import VideoSettings
from recorder.model.status import EncoderLine

type Verdicts = dict[str, EncoderVerdict]

TRANSIENT_FAILURES = frozenset(
    {EncoderFailure.NOT_IN_BUILD, EncoderFailure.NO_DEVICE, EncoderFailure.NO_DRIVER, EncoderFailure.CANNOT_OPEN}
)  # reasons that may pass before the next session: a driver loads late, or other programs use all encoders


def verdicts() -> StateFile[Verdicts]:
    """Return the file of verdicts, keyed by encoder, settings, version and boot."""
    return StateFile(state_folder() / "encoders.json", Verdicts.__value__, {})


def remembered(kind: EncoderKind, settings: VideoSettings) -> EncoderVerdict | None:
    """Return the verdict since the last boot; None if there is none or the file cannot be read."""
    try:
        return verdicts().read().get(_verdict_key(kind, settings))
    except StateError:
        return None


def remember(verdict: EncoderVerdict, settings: VideoSettings) -> None:
    """Keep a verdict and drop older ones of earlier boots. Ignores a file that cannot be written."""
    now = _boot_key()
    with suppress(StateError):
        verdicts().change(
            lambda before: {
                **{place: each for place, each in before.items() if place.endswith(now)},
                _verdict_key(verdict.kind, settings): verdict,
            }
        )


def verdict_of(kind: EncoderKind, settings: VideoSettings) -> EncoderVerdict:
    """Return the verdict on an encoder. Blocks some seconds for a trial if no lasting verdict is known."""
    known = remembered(kind, settings)
    if known is None or known.reason in TRANSIENT_FAILURES:
        # Imported late: most sessions have a verdict and need no trial.
        from recorder.encode.hardware_probe import probe

        known = probe(kind, settings)
        remember(known, settings)
    return known


def _verdict_key(kind: EncoderKind, settings: VideoSettings) -> str:
    asked = f"{settings.width}x{settings.height} {settings.rate}/s {settings.bit_rate}-{settings.max_rate} bit/s"
    return f"{kind.value} {asked}; {_boot_key()}"


def _boot_key() -> str:
    return f"liput {VERSION}, boot {boot_id()}"


AUTO = "auto"

type JudgeEncoder = Callable[[EncoderKind, VideoSettings], EncoderVerdict]

type Why = Literal["set", "tried", "refused", "failed"]  # set, passed a trial, others refused, failed while in use


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """The encoder setting `[video] encoder`, the function that judges an encoder, and the worker's command."""

    wish: str = EncoderKind.X264.value
    judge: JudgeEncoder = verdict_of
    command: Sequence[str] = WORKER


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """The chosen encoder, the reason, and the verdicts in the order of asking."""

    kind: EncoderKind
    why: Why
    verdicts: Sequence[EncoderVerdict] = ()

    @property
    def reason(self) -> str | None:
        """The faults of the refused encoders; None if none was refused."""
        refused = (
            f"{MODELS[verdict.kind].title}: {failure_text(verdict.reason, verdict.detail)}"
            for verdict in self.verdicts
            if verdict.reason is not None
        )
        return "; ".join(refused) or None


def candidates(wish: str) -> Sequence[EncoderKind]:
    """Return the hardware encoders that a setting allows, in the order of trial."""
    if wish == AUTO:
        return HARDWARE
    kind = EncoderKind(wish)
    return (kind,) if kind in HARDWARE else ()


def choose_encoder(wish: str, settings: VideoSettings, judge: JudgeEncoder) -> EncoderChoice:
    """Return the encoder for `settings`; `judge` is called until it accepts a kind."""
    verdicts: list[EncoderVerdict] = []
    for kind in candidates(wish):
        verdicts.append(judge(kind, settings))
        if verdicts[-1].reason is None:
            return EncoderChoice(kind, "tried", verdicts)
    return EncoderChoice(EncoderKind.X264, "refused" if verdicts else "set", verdicts)


class SessionEncoder:
    """Opens and replaces the video encoder of one session. `line` is thread-safe."""

    def __init__(self, plan: EncoderPlan, *, clock: Clock, emit: Emit) -> None:
        self._plan = plan
        self._clock = clock
        self._emit = emit
        self._choice: EncoderChoice | None = None
        self._reason: str | None = None

    def open(
        self, video: VideoSettings, audio: AudioSettings | None, own_sounds: Mapping[str, AudioSettings] = {}
    ) -> Encoder:
        """Return the session's encoder; blocks some seconds for a trial of unknown hardware. Raises EncoderError."""
        wish = self._plan.wish if video.x264_params is None else EncoderKind.X264.value
        self._choice = choose_encoder(wish, video, self._plan.judge)
        self._reason = self._choice.reason
        if self._choice.kind is EncoderKind.X264:
            return Encoder(video, audio, own_sounds)
        # Imported late: most sessions use x264.
        from recorder.encode.hardware_process import EncoderProcess, HardwareStream

        try:
            process = EncoderProcess(self._choice.kind, video, command=self._plan.command, clock=self._clock)
        except HardwareFailed as error:
            self._fail(error, video, 0)
            return Encoder(video, audio, own_sounds)
        try:
            stream = HardwareStream(process, lambda error, count: self._fail(error, video, count))
            return Encoder(video, audio, own_sounds, stream)
        except BaseException:
            process.close()
            raise

    def _fail(self, error: HardwareFailed, settings: VideoSettings, count: int) -> None:
        choice = self._choice
        assert choice is not None  # noqa: S101 - it was opened
        title = MODELS[choice.kind].title
        self._reason = f"{title}: {error.message}"
        self._choice = replace(choice, kind=EncoderKind.X264, why="failed")
        self._emit(
            "encoder-failed",
            title,
            f"{title} cannot be used any more, {error.message}; x264 encodes the picture from here on",
            encoder=choice.kind.value,
            reason=error.reason.value,
            detail=error.detail,
            encoded_again=count,
            goes_on=EncoderKind.X264.value,
        )
        with suppress(RuntimeError):  # too many threads; a disk may hang, so another thread writes
            verdict = EncoderVerdict(kind=choice.kind, reason=error.reason, detail=error.detail)
            threads.start_thread(remember, verdict, settings, name="encoder-memory")

    def line(self) -> EncoderLine | None:
        """Return the encoder's status; None before `open`."""
        choice = self._choice
        return EncoderLine(name=choice.kind.value, why=choice.why, reason=self._reason) if choice else None

    def facts(self) -> dict[str, object]:
        line = self.line()
        return {"encoder": line.name, "encoder_why": line.why, "encoder_reason": line.reason} if line else {}
