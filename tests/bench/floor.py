"""The libraries alone, beside GStreamer: `python -m tests.bench.floor` tells how much of the job is not of Liput.

One loop decodes with libjpeg-turbo, encodes with x264 and AAC, and muxes MP4 and FLV: no session, no clock, no meters,
no queues, no syncs, no archive. A JPEG that is the one before is not decoded again, as in a session.
"""

import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import platformdirs

from capture.media.jpeg import JpegDecoder
from capture.source import ColorMatrix
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket, Track
from tests.bench.material import BIT_RATE, RATE, Clip, clips
from tests.bench.pairs import Bench, Match, cpu_line, interleaved
from tests.bench.peers import Job, gstreamer_job
from tests.bench.sinks import MuxedFile


def bare_job(clip: Clip, folder: Path) -> Job:
    return Job("bare", (sys.executable, "-m", "tests.bench.floor", str(folder), str(clip.path)))


def run(folder: Path, clip: Path) -> None:
    """Do the job."""
    with av.open(str(clip)) as source:
        video, audio = source.streams.video[0], source.streams.audio[0]
        size, rate = (video.width, video.height), Fraction(RATE)
        settings = VideoSettings(*size, rate, ColorMatrix.BT601, BIT_RATE, BIT_RATE, x264_params="")
        encoder = Encoder(settings, AudioSettings(channels=2, bit_rate=128_000))
        outputs = [MuxedFile(folder / f"out.{kind}", kind, encoder.templates) for kind in ("mp4", "flv")]
        decoder = JpegDecoder(size)
        ticks = Fraction(video.time_base.num, video.time_base.den) / VIDEO_TIME_BASE
        position = 0
        for packet in source.demux(video, audio):
            encoded: list[EncodedPacket] = []
            if packet.stream is video and packet.size:
                encoded = encoder.encode_video(decoder.decode(bytes(packet)), round((packet.pts or 0) * ticks))
            elif packet.size:
                for frame in audio.codec_context.decode(packet):
                    samples = frame.to_ndarray().reshape(-1, 2).astype(np.int16, copy=False)
                    encoded += encoder.encode_audio(samples, position)
                    position += len(samples)
            _write(outputs, encoded)
        for track in (Track.VIDEO, Track.AUDIO):
            _write(outputs, encoder.flush(track))
    for output in outputs:
        output.close()
    encoder.close()


def _write(outputs: list[MuxedFile], packets: list[EncodedPacket]) -> None:
    for packet in packets:
        for output in outputs:
            output.put(packet)


def main() -> None:
    """Do the job of the two paths that are given; without them, print a line for each clip."""
    if len(sys.argv) > 1:
        run(*map(Path, sys.argv[1:]))
        return
    bench = Bench(platformdirs.user_cache_path("liput") / "bench", say=print)
    for name, clip in clips(bench.cache).items():
        match = Match(partial(bare_job, clip), partial(gstreamer_job, clip), clip.pictures)
        line = cpu_line("floor", name, 1.0, interleaved(bench, name, match), "GStreamer")
        print(f"{name}: {line.median:.3f} {line.unit}")


if __name__ == "__main__":
    main()
