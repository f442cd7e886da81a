"""The job of the benchmark with the libraries that Liput uses, and nothing else: what no session can take less than.

    python -m tests.bench.bare_job [OPTION...] FOLDER CLIP

One loop decodes with libjpeg-turbo, encodes with x264 and AAC, and muxes MP4 and FLV: no session, no clock, no meters,
no queues, no syncs, no archive. A JPEG that is the one before is not decoded again, as in a session.
"""

import argparse
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from capture.media.jpeg import JpegDecoder
from capture.source import ColorMatrix
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket, Track
from tests.bench.sinks import MuxedFile


def main() -> None:
    """Run the job."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--rate", type=Fraction, default=Fraction(30))
    parser.add_argument("--bit-rate", type=int, default=4_500_000)
    told = parser.parse_args()
    with av.open(str(told.clip)) as source:
        video, audio = source.streams.video[0], source.streams.audio[0]
        settings = VideoSettings(
            width=video.width,
            height=video.height,
            rate=told.rate,
            matrix=ColorMatrix.BT601,
            bit_rate=told.bit_rate,
            max_rate=told.bit_rate,
            x264_params="",
        )
        encoder = Encoder(settings, AudioSettings(channels=2, bit_rate=128_000))
        outputs = [MuxedFile(told.folder / f"out.{kind}", kind, encoder.templates) for kind in ("mp4", "flv")]
        decoder = JpegDecoder((video.width, video.height))
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


if __name__ == "__main__":
    main()
