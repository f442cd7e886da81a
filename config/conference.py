"""What can be set of the two-way conference: where its picture and sound go, and what never goes there."""

from fractions import Fraction
from typing import Annotated

import msgspec

from config import kinds


class Conference(msgspec.Struct, frozen=True, kw_only=True):
    """The virtual camera and microphone that a program of its own goes to, without what comes from the far side.

    `camera` is a path or a label of a V4L2 output node, `microphone` the name of a sink. Without a `layout` it is the
    program's at any moment. `far_side` names inputs, pictures and sounds, that show and say what the far side does. A
    screen and what a sound server plays do so, too, unless `near_side` names them.
    """

    always: Annotated[bool, kinds.SWITCH] = False
    camera: Annotated[str, kinds.TEXT] = "Liput"
    microphone: Annotated[str, kinds.TEXT] = "liput"
    layout: Annotated[str, kinds.TEXT] = ""
    width: Annotated[int, kinds.whole(64, 3840, even=True)] = 1280
    height: Annotated[int, kinds.whole(64, 2160, even=True)] = 720
    fps: Annotated[Fraction, kinds.frame_rate(60)] = Fraction(30)
    far_side: Annotated[tuple[str, ...], kinds.WORDS] = ()
    near_side: Annotated[tuple[str, ...], kinds.WORDS] = ()
