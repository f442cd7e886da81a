"""What is known of the program's sound at any moment, and at its end."""

import msgspec

from recorder.status import Loudness


class InputSound(msgspec.Struct, frozen=True, kw_only=True):
    """One input: its peak level in each of the program's channels (before mute and gain), and what became of it.

    `ppm` is how much faster than the session clock its clock runs, in millionths; None until that is known.
    `silence_s` is how many seconds of silence stand for what it did not give, `lost` how often it lost sound.
    """

    name: str
    muted: bool
    levels_dbfs: tuple[float, ...]
    ppm: float | None
    silence_s: float
    lost: int


class SoundSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The program's sound: how loud it is, and its inputs."""

    loudness: Loudness
    inputs: tuple[InputSound, ...]

    def facts(self) -> dict[str, object]:
        """Return what should be kept of a session's sound: its loudness in LUFS and LU, the drift of each input."""
        return {
            "loudness_lufs": self.loudness.integrated_lufs,
            "loudness_range_lu": self.loudness.range_lu,
            "drift_ppm": {sound.name: sound.ppm for sound in self.inputs},
        }
