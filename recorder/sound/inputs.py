"""What a session is told of one input of its sound."""

from dataclasses import dataclass

from capture.source import AudioSource


@dataclass(frozen=True, slots=True)
class SoundInput:
    """One input: the `name` people call it by, unique in its session, and where its sound comes from."""

    name: str
    source: AudioSource
