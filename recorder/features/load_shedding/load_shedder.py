"""Load shedding: takes the ladder's steps and takes them back, on the video thread."""

import traceback
from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction

from capture.sources.source_queue import LIVE_QUEUE_S
from config.errors import EncoderError
from config.events import Emit
from config.settings.schema import LEAN_PRESET
from devices.host.clock import NANOSECONDS, Clock
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.policy import BEHIND_S, CALM_S, URGENT_S, SheddingPolicy, StepChange
from recorder.model.status import SheddingStep
from recorder.program.frame_fanout import FrameFanout

LOOK_S = 0.1
CHEAP = "me=dia:subme=1:trellis=0:mixed-refs=0:partitions=i8x8,i4x4:b-adapt=1"
"""Like the preset superfast, without a change of the stream's parameter sets."""
CHEAPEST = "me=dia:subme=0:trellis=0:mixed-refs=0:partitions=none:b-adapt=0:mbtree=0:aq-mode=0"
"""The least work for the same stream; flat areas and motion get coarse."""
CHEAP_PRESETS = frozenset({"ultrafast", "superfast", LEAN_PRESET})  # CHEAP saves nothing with these
CHEAPEST_PRESETS = CHEAP_PRESETS - {LEAN_PRESET}  # CHEAPEST is not used with these
PSYCHOVISUAL_PRESETS = frozenset({"fast", "medium", "slow", "slower", "veryslow"})
"""With these presets (`subme` of 6 and more) x264 lowers the chroma QP offset by two."""
SPACING = 2  # n at the lower rate: one frame of n is encoded
URGENT_SPACING = 4  # the same while more than URGENT_S wait, down to BEHIND_S: an even rate is better than drops
HELPS_S = 0.3  # wait for a lower frame rate to help: a new encoder costs 0.4 s of CPU first
PUT_OFF_S = 1.0  # limit of that wait in all
ENCODERS_OWN = frozenset({SheddingStep.ENCODER, SheddingStep.DETAIL})  # steps that need another encoder
LEAST_RATE = Fraction(10)  # slower programs keep their frame rate

SUBJECT = "PC"

_DOWN = {
    SheddingStep.ENCODER: "the picture is encoded more simply",
    SheddingStep.VIEWERS: "previews and the live stream's own encode get fewer frames",
    SheddingStep.RATE: "every second picture is left out",
    SheddingStep.DETAIL: "the picture is encoded as simply as can be",
}
_UP = {
    SheddingStep.ENCODER: "the picture is encoded as before",
    SheddingStep.VIEWERS: "previews and the live stream's own encode get all frames",
    SheddingStep.RATE: "all frames are recorded",
    SheddingStep.DETAIL: "the picture is encoded with more detail",
}


def cheap_params(preset: str, taken: Collection[SheddingStep]) -> str:
    """Return x264 parameters cheaper than `preset`, with the same parameter sets."""
    if SheddingStep.DETAIL in taken:
        params = CHEAPEST
    elif SheddingStep.ENCODER in taken:
        params = CHEAP
    else:
        return ""
    return f"{params}:chroma-qp-offset=-2" if preset in PSYCHOVISUAL_PRESETS else params


class LoadShedder:
    """Watches the video thread's load, and lowers its work; any thread may read the load."""

    def __init__(
        self, settings: VideoSettings, encoder: Encoder, viewers: FrameFanout, *, clock: Clock, emit: Emit
    ) -> None:
        """Take the `settings` with which `encoder` was opened."""
        self.behind_s = self.busy = 0.0  # last load: see SheddingPolicy.update
        self._settings = self._in_force = settings
        self._encoder = encoder
        self._viewers = viewers
        self._clock = clock
        self._emit = emit
        self._ladder = SheddingPolicy(self._is_useful)
        self._refused: set[SheddingStep] = set()
        self._delayed: list[StepChange] = []  # their encoder is not open yet
        self._delayed_ns = self._helped_ns = self._looked_ns = clock.now_ns()
        self._least_behind_s = self.behind_s  # since the oldest of them
        self._keeps_rate = False  # the encoder refused a lower rate
        self._is_urgent = False
        self._waited_ns = 0

    @property
    def taken(self) -> Sequence[SheddingStep]:
        return self._ladder.taken

    @property
    def spacing(self) -> int:
        """N where the program takes one frame of n."""
        return URGENT_SPACING if self._is_urgent and SheddingStep.RATE in self.taken else self._settled_spacing

    @property
    def _settled_spacing(self) -> int:
        """The same without urgency: the encoder is opened for it."""
        return SPACING if SheddingStep.RATE in self.taken else 1

    def update(self, waited_ns: int, filled: float) -> int:
        """Take the nanoseconds waited for a frame, and the fill of its queue (0 to 1); return `spacing`.

        About ten times a second this judges the load and makes the changes, from the next frame on.
        """
        self._waited_ns += waited_ns
        now_ns = self._clock.now_ns()
        passed_ns = now_ns - self._looked_ns
        if passed_ns < LOOK_S * NANOSECONDS:
            return self.spacing
        self.behind_s, self.busy = filled * LIVE_QUEUE_S, 1 - min(1.0, self._waited_ns / passed_ns)
        self._looked_ns, self._waited_ns = now_ns, 0
        self._is_urgent = self.behind_s > (BEHIND_S if self._is_urgent else URGENT_S)
        moves = self._ladder.update(now_ns / NANOSECONDS, self.behind_s, self.busy)
        if moves:
            self._apply(moves)
        if self._delayed and not self._delay_helps():
            self._apply_delayed()
        return self.spacing

    def _is_useful(self, step: SheddingStep) -> bool:
        is_x264 = not self._encoder.is_external
        useful = {
            SheddingStep.ENCODER: is_x264 and self._settings.preset not in CHEAP_PRESETS,
            SheddingStep.VIEWERS: self._viewers.are_watching,
            SheddingStep.RATE: self._settings.rate >= LEAST_RATE,
            SheddingStep.DETAIL: is_x264 and self._settings.preset not in CHEAPEST_PRESETS,
        }
        return useful[step] and step not in self._refused

    def _apply(self, moves: Sequence[StepChange]) -> None:
        if self._can_delay(moves):
            if not self._delayed:
                self._delayed_ns = self._helped_ns = self._looked_ns
                self._least_behind_s = self.behind_s
            self._delayed += moves
        else:
            try:
                self._change_encoder()
            except EncoderError:
                traceback.print_exc()  # nothing is lost by it
                for move in reversed(moves):
                    self._ladder.undo(move)
                step, is_down = (_encoder_moves(moves) or moves)[-1]
                if is_down:
                    self._refused.add(step)
                return
        self._viewers.thins_previews = SheddingStep.VIEWERS in self.taken
        self._viewers.thins_encode = self._thins_encode
        for move in moves:
            self._report(move)

    def _can_delay(self, moves: Sequence[StepChange]) -> bool:
        """Return whether a lower frame rate helps at once; another encoder would only delay it."""
        if SheddingStep.RATE not in self.taken or self._encoder.is_external or self.behind_s <= CALM_S:
            return False
        return self._is_urgent or bool(self._delayed) or any(step is SheddingStep.RATE for step, _ in moves)

    def _delay_helps(self) -> bool:
        """Return whether the lower frame rate still makes progress without another encoder."""
        if self.behind_s < self._least_behind_s:
            self._least_behind_s, self._helped_ns = self.behind_s, self._looked_ns
        return (
            self.behind_s > CALM_S
            and self._looked_ns - self._helped_ns < HELPS_S * NANOSECONDS
            and self._looked_ns - self._delayed_ns < PUT_OFF_S * NANOSECONDS
        )

    def _apply_delayed(self) -> None:
        """Open the encoder of the delayed steps, without refused ones."""
        moves, self._delayed = self._delayed, []
        self._ladder.settle(self._looked_ns / NANOSECONDS)
        is_left = True
        while is_left:
            try:
                self._change_encoder()
            except EncoderError:
                traceback.print_exc()  # nothing is lost by it
                is_left = self._refuse(moves)
            else:
                return

    def _refuse(self, moves: list[StepChange]) -> bool:
        """Give up the lower rate, or one of `moves`; return False if nothing is left to give up."""
        if not self._keeps_rate and self._wanted.rate != self._in_force.rate:
            self._keeps_rate = True
            return True
        own = _encoder_moves(moves)
        if not own:
            return False
        refused, self._keeps_rate = own[-1], False
        moves.remove(refused)
        self._ladder.undo(refused)
        self._refused.add(refused[0])
        self._emit("stepped-up", SUBJECT, f"The encoder has refused: {_UP[refused[0]]}", **self._facts(refused[0]))
        return True

    def _facts(self, step: SheddingStep) -> dict[str, object]:
        return {
            "step": step.value,
            "steps": [taken.value for taken in self.taken],
            "behind_s": round(self.behind_s, 2),
            "busy": round(self.busy, 2),
        }

    def _report(self, move: StepChange) -> None:
        step, is_down = move
        facts = self._facts(step)
        if is_down:
            facts["steps"] = [taken.value for taken in self.taken[: self.taken.index(step) + 1]]
            message = f"This PC does not keep up ({self.behind_s:.1f} s behind): {_DOWN[step]}"
            self._emit("stepped-down", SUBJECT, message, **facts)
        elif self.taken:
            self._emit("stepped-up", SUBJECT, f"This PC has room again: {_UP[step]}", **facts)
        else:
            self._emit("keeps-up", SUBJECT, f"This PC keeps up again: {_UP[step]}", **facts)

    @property
    def _thins_encode(self) -> bool:
        return SheddingStep.VIEWERS in self.taken and self._settled_spacing == 1

    @property
    def _wanted(self) -> VideoSettings:
        rate = self._settings.rate / (1 if self._keeps_rate else self._settled_spacing)
        return replace(self._settings, rate=rate, more_params=cheap_params(self._settings.preset, self.taken))

    def _change_encoder(self) -> None:
        """Set up both encoders for the steps in force; raises EncoderError if the program's refuses."""
        wanted = self._wanted
        if wanted != self._in_force:
            self._encoder.change_video(wanted)
            self._in_force = wanted
        self._viewers.simplify(wanted.more_params, SPACING if self._thins_encode else self._settled_spacing)


def _encoder_moves(moves: Sequence[StepChange]) -> Sequence[StepChange]:
    return [move for move in moves if move[0] in ENCODERS_OWN]
