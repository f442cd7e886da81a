"""What our own file and our own index cost: CPU of muxing two minutes and closing, against FFmpeg's own of both.

python -m tests.bench.recording_file
"""

import os
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

from capture.source import ColorMatrix
from config.settings.schema import Settings
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VideoSettings
from recorder.model.packet import Track
from recorder.mp4.finalize import finalize
from recorder.recording.mp4_file import BUFFER_BYTES, AppendOnlyFile, muxer_options

SECONDS = 120
PICTURE_BYTES, SOUND_BYTES = 18_750, 340  # 4.5 Mbit/s at 30 a second, 128 kbit/s
OURS = muxer_options(Settings().recording.fragment_s)
THEIRS = OURS | {"movflags": "delay_moov+hybrid_fragmented"}


def cpu_s(encoder: Encoder, path: Path, *, ours: bool) -> float:
    """Return the CPU seconds that muxing SECONDS of noise takes, the close included."""
    file = AppendOnlyFile(path) if ours else None
    began = time.process_time()
    if file:
        container = av.open(file, "w", format="mp4", buffer_size=BUFFER_BYTES, options=OURS)
    else:
        container = av.open(str(path), "w", format="mp4", options=THEIRS)
    streams = {
        track: container.add_stream_from_template(template, opaque=True)
        for track, template in encoder.templates.items()
    }
    # A start code, or the muxer finds no picture in it and writes none.
    picture = b"\0\0\0\1\x65" + os.urandom(PICTURE_BYTES).replace(b"\0", b"\1")
    sound = os.urandom(SOUND_BYTES)

    def mux(track: Track, data: bytes, pts: int, duration: int, time_base: Fraction, *, key: bool) -> None:
        packet = av.Packet(data)
        packet.stream, packet.time_base, packet.is_keyframe = streams[track], time_base, key
        packet.pts = packet.dts = pts
        packet.duration = duration
        container.mux(packet)

    for number in range(30 * SECONDS):
        mux(Track.VIDEO, picture, number * 3000, 3000, Fraction(1, 90_000), key=number % 60 == 0)
        for block in range(number * 1600 // 1024, (number + 1) * 1600 // 1024):
            mux(Track.AUDIO, sound, block * 1024, 1024, Fraction(1, 48_000), key=True)
    container.close()
    if file:
        finalize(file.descriptor, path)
        file.close()
    took = time.process_time() - began
    assert path.stat().st_size > 30 * SECONDS * PICTURE_BYTES
    return took


def main() -> None:
    """Print milliseconds of CPU for a second of media: FFmpeg's own file, ours."""
    encoder = Encoder(
        VideoSettings(320, 180, Fraction(30), ColorMatrix.BT601, 400_000, 400_000), AudioSettings(2, 128_000)
    )
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            figures = [cpu_s(encoder, Path(folder) / "a.mp4", ours=ours) / SECONDS * 1000 for ours in (False, True)]
            print(f"ffmpeg {figures[0]:.3f} ms/s, ours {figures[1]:.3f} ms/s")
    encoder.close()


if __name__ == "__main__":
    main()
