"""The program of an armed session, for the hooks of features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VideoSettings
from recorder.program.frame_fanout import FrameFanout
from recorder.program.scene import Appearance
from recorder.program.timeline import RunContext
from recorder.program.video_input import VideoInput
from recorder.program.video_track import FrameCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmedProgram:
    """The encoder, viewers and inputs. `counts` returns the frames since the recording began."""

    video: VideoSettings
    channels: int
    encoder: Encoder
    viewers: FrameFanout
    inputs: Sequence[VideoInput]
    sounds: Sequence[str]  # names of the audio inputs
    appearance: Appearance
    shows: Callable[[], str]  # returns the name of the layout or card
    counts: Callable[[], FrameCounts]
    run: RunContext
