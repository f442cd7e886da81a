"""Takes the ladder's steps and takes them back, on the picture's thread. `Viewers` get fewer pictures, where asked."""

import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from fractions import Fraction

import av

from capture.sources.source_queue import LIVE_QUEUE_S
from config.errors import EncoderError
from config.events import Emit
from config.settings.schema import LEAN
from devices.host.clock import NANOSECONDS, Clock
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.ladder import BEHIND_S, CALM_S, URGENT_S, Ladder, Move, Step
from recorder.program.scene import Offer

LOOK_S = 0.1
CHEAP = "me=dia:subme=1:trellis=0:mixed-refs=0:partitions=i8x8,i4x4:b-adapt=1"
"""What the preset superfast looks for, and nothing that a decoder would have to know beforehand."""
CHEAPEST = "me=dia:subme=0:trellis=0:mixed-refs=0:partitions=none:b-adapt=0:mbtree=0:aq-mode=0"
"""The least that x264 can look for in the same stream; flat parts and what moves get coarse."""
CHEAP_PRESETS = frozenset({"ultrafast", "superfast", LEAN})
"""Those that look for no more than CHEAP."""
CHEAPEST_PRESETS = CHEAP_PRESETS - {LEAN}
"""Those of them that are not made to look for CHEAPEST."""
PSYCHOVISUAL_PRESETS = frozenset({"fast", "medium", "slow", "slower", "veryslow"})
"""Those that look so closely (`subme` of 6 and more) that x264 takes two steps of quality from what chroma has."""
SPACING = 2
"""Of so many pictures one is left when the rate is lowered..."""
URGENT_SPACING = 4
"""...and while more than URGENT_S of them wait, until BEHIND_S do: left out evenly is better than dropped."""
HELPS_S = 0.3
"""Another encoder costs 0.4 s of CPU before it saves any: it waits while what is left out helps, for so long..."""
PUT_OFF_S = 1.0
"""...after fewer pictures have waited than ever before, and for so long in all."""
ENCODERS_OWN = frozenset({Step.ENCODER, Step.DETAIL})
"""Steps that nothing but another encoder makes."""
LEAST_RATE = Fraction(10)
"""Pictures a second below which it is not: what would be left is too few to follow anything."""

SUBJECT = "PC"

_DOWN = {
    Step.ENCODER: "the picture is encoded more simply",
    Step.VIEWERS: "previews and the live stream's own encode get fewer pictures",
    Step.RATE: "every second picture is left out",
    Step.DETAIL: "the picture is encoded as simply as can be",
}
_UP = {
    Step.ENCODER: "the picture is encoded as before",
    Step.VIEWERS: "previews and the live stream's own encode get all pictures",
    Step.RATE: "all pictures are recorded",
    Step.DETAIL: "the picture is encoded with more detail",
}


PREVIEW_EVERY_S = 1.0
LOOKED_S = 2.0
"""So long after a picture was wanted somebody looks."""

type Also = Callable[[av.VideoFrame, int], object]
"""Takes the program's picture and its time for a second encode; returns at once, True if it was wanted."""
type Simplify = Callable[[str, int], object]
"""Has the second encode look for less: x264 parameters, and of how many pictures of the session it is given one."""


class Viewers:
    """Hands pictures on; used by the picture's thread."""

    def __init__(
        self, offer: Offer | None, also: Also | None, clock: Clock, simplify: Simplify = lambda *_: None
    ) -> None:
        self.thins_previews = False
        self.thins_encode = False
        self._offer = offer
        self._also = also
        self.simplify = simplify
        self._clock = clock
        self._due_ns: dict[str, int] = {}
        self._is_next_out = False
        self._wanted_ns: int | None = None

    @property
    def are_there(self) -> bool:
        """Whether anybody looks, or watches the live side's own encode."""
        wanted_ns = self._wanted_ns
        return wanted_ns is not None and self._clock.now_ns() - wanted_ns <= LOOKED_S * NANOSECONDS

    def offer(self, name: str, picture: av.VideoFrame) -> None:
        """Hand on a picture of the input called `name`."""
        if self._offer is None:
            return
        if self.thins_previews:
            now_ns = self._clock.now_ns()
            if now_ns < self._due_ns.get(name, 0):
                return
        if self._offer(name, picture):
            self._wanted_ns = now_ns = self._clock.now_ns()
            self._due_ns[name] = now_ns + round(PREVIEW_EVERY_S * NANOSECONDS)

    def also(self, picture: av.VideoFrame, pts: int) -> None:
        """Hand on a picture of the program, which is shown from `pts` on."""
        if self._also is None:
            return
        self._is_next_out = self.thins_encode and not self._is_next_out
        if not self._is_next_out and self._also(picture, pts):
            self._wanted_ns = self._clock.now_ns()


def cheap_params(preset: str, taken: Collection[Step]) -> str:
    """Return what makes x264 look for less than `preset` does, and make the same stream."""
    if Step.DETAIL in taken:
        params = CHEAPEST
    elif Step.ENCODER in taken:
        params = CHEAP
    else:
        return ""
    return f"{params}:chroma-qp-offset=-2" if preset in PSYCHOVISUAL_PRESETS else params


class Relief:
    """Looks at how the picture's thread gets on, and changes what it has to do; the load may be read by any thread."""

    def __init__(
        self, settings: VideoSettings, encoder: Encoder, viewers: Viewers, *, clock: Clock, emit: Emit
    ) -> None:
        """Begin with nothing done; `settings` are what `encoder` was opened with."""
        self.behind_s = self.busy = 0.0
        """The load at the last look: see Ladder.update."""
        self._settings = self._in_force = settings
        self._encoder = encoder
        self._viewers = viewers
        self._clock = clock
        self._emit = emit
        self._ladder = Ladder(self._is_useful)
        self._refused: set[Step] = set()
        self._put_off: list[Move] = []  # whose encoder is not there yet
        self._put_off_ns = self._helped_ns = self._looked_ns = clock.now_ns()
        self._least_behind_s = self.behind_s  # since something was put off
        self._keeps_rate = False  # because the encoder has refused a lower one
        self._is_urgent = False
        self._waited_ns = 0

    @property
    def taken(self) -> Sequence[Step]:
        """The steps in force."""
        return self._ladder.taken

    @property
    def spacing(self) -> int:
        """Of how many pictures the program takes one."""
        return URGENT_SPACING if self._is_urgent and Step.RATE in self.taken else self._settled_spacing

    @property
    def _settled_spacing(self) -> int:
        """The same, however many wait: this is what an encoder is opened for."""
        return SPACING if Step.RATE in self.taken else 1

    def look(self, waited_ns: int, filled: float) -> int:
        """Take note that the next picture was waited for so long, and how full the queue is that it came from, 0 to 1.

        Some ten times a second that is judged, and what has to be done is done: from the next picture on.
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
            self._make(moves)
        if self._put_off and not self._helps():
            self._make_up()
        return self.spacing

    def _is_useful(self, step: Step) -> bool:
        is_x264 = not self._encoder.is_elsewhere
        useful = {
            Step.ENCODER: is_x264 and self._settings.preset not in CHEAP_PRESETS,
            Step.VIEWERS: self._viewers.are_there,
            Step.RATE: self._settings.rate >= LEAST_RATE,
            Step.DETAIL: is_x264 and self._settings.preset not in CHEAPEST_PRESETS,
        }
        return useful[step] and step not in self._refused

    def _make(self, moves: Sequence[Move]) -> None:
        if self._can_wait(moves):
            if not self._put_off:
                self._put_off_ns = self._helped_ns = self._looked_ns
                self._least_behind_s = self.behind_s
            self._put_off += moves
        else:
            try:
                self._change_encoder()
            except EncoderError:
                traceback.print_exc()  # nothing is lost by it
                for move in reversed(moves):
                    self._ladder.undo(move)
                step, is_down = (_of_the_encoder(moves) or moves)[-1]
                if is_down:
                    self._refused.add(step)
                return
        self._viewers.thins_previews = Step.VIEWERS in self.taken
        self._viewers.thins_encode = self._thins_encode
        for move in moves:
            self._tell(move)

    def _can_wait(self, moves: Sequence[Move]) -> bool:
        """Return whether more pictures are left out at once, so that another encoder would only be in the way."""
        if Step.RATE not in self.taken or self._encoder.is_elsewhere or self.behind_s <= CALM_S:
            return False
        return self._is_urgent or bool(self._put_off) or any(step is Step.RATE for step, _ in moves)

    def _helps(self) -> bool:
        """Return whether what is left out is about to be enough, without the encoder that was put off."""
        if self.behind_s < self._least_behind_s:
            self._least_behind_s, self._helped_ns = self.behind_s, self._looked_ns
        return (
            self.behind_s > CALM_S
            and self._looked_ns - self._helped_ns < HELPS_S * NANOSECONDS
            and self._looked_ns - self._put_off_ns < PUT_OFF_S * NANOSECONDS
        )

    def _make_up(self) -> None:
        """Begin with the encoder of the steps that were put off, or of those of them that it does not refuse."""
        moves, self._put_off = self._put_off, []
        self._ladder.settle(self._looked_ns / NANOSECONDS)
        is_left = True
        while is_left:
            try:
                self._change_encoder()
            except EncoderError:
                traceback.print_exc()  # nothing is lost by it
                is_left = self._give_up(moves)
            else:
                return

    def _give_up(self, moves: list[Move]) -> bool:
        """Give up half the rate, or one of `moves`, that the encoder may have refused; return whether there was any."""
        if not self._keeps_rate and self._wanted.rate != self._in_force.rate:
            self._keeps_rate = True
            return True
        own = _of_the_encoder(moves)
        if not own:
            return False
        refused, self._keeps_rate = own[-1], False
        moves.remove(refused)
        self._ladder.undo(refused)
        self._refused.add(refused[0])
        message = f"The encoder has refused: {_UP[refused[0]]}"
        self._emit("stepped-up", SUBJECT, message, **self._facts(refused[0]))
        return True

    def _facts(self, step: Step) -> dict[str, object]:
        return {
            "step": step.value,
            "steps": [taken.value for taken in self.taken],
            "behind_s": round(self.behind_s, 2),
            "busy": round(self.busy, 2),
        }

    def _tell(self, move: Move) -> None:
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
        return Step.VIEWERS in self.taken and self._settled_spacing == 1

    @property
    def _wanted(self) -> VideoSettings:
        rate = self._settings.rate / (1 if self._keeps_rate else self._settled_spacing)
        return replace(self._settings, rate=rate, more_params=cheap_params(self._settings.preset, self.taken))

    def _change_encoder(self) -> None:
        """Let the encoders be as the steps in force have them; raises EncoderError where the program's does not."""
        wanted = self._wanted
        if wanted != self._in_force:
            self._encoder.change_video(wanted)
            self._in_force = wanted
        self._viewers.simplify(wanted.more_params, SPACING if self._thins_encode else self._settled_spacing)


def _of_the_encoder(moves: Sequence[Move]) -> Sequence[Move]:
    return [move for move in moves if move[0] in ENCODERS_OWN]
