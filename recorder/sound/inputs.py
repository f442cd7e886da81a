"""What a session is told of one input of its sound."""

from dataclasses import dataclass

from capture.source import AudioSource
from capture.worker import Supervision


@dataclass(frozen=True, slots=True)
class SoundInput:
    """One input: the `name` people call it by, unique in its session, and where its sound comes from.

    `gain_db` is how much it is turned up (or down, below 0) in the mix. With `own_track` it is also recorded apart,
    as it came, beside the mix; while it is muted both are silent.
    """

    name: str
    source: AudioSource
    supervision: Supervision | None = None
    """Of a device, which may go and come back."""
    gain_db: float = 0.0
    own_track: bool = False
    is_muted: bool = False
    """From its first sample on."""
