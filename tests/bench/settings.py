"""Settings of x264 side by side: what encoding a clip takes with each, and how near the pictures come to the clip.

    python -m tests.bench.settings [--clips bunny,bikes] [--runs 5] PRESET[:PARAMETER=VALUE...] ...

For whoever looks for settings that cost less. The first line of each clip is x264's own `veryfast`, as the row `ffmpeg`
has it: CPU counts as a part of what that takes, by turns in the same run, the median of the ratios. Only the encoder
counts: what its threads take, and the thread that gives it pictures, less what that needs to decode them. VMAF is
beside what the ffmpeg command makes of the clip with `veryfast`: below 0 is worse.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import platformdirs

from capture.pacing import FastPace
from capture.source import Frame, SourceEnded
from capture.sources.file import FileVideoSource
from config.settings.schema import Profile
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings, video_settings
from recorder.model.packet import EncodedPacket, Track
from tests.bench.default_profile import judged
from tests.bench.footage import footage
from tests.bench.material import Clip, clips
from tests.bench.peers import ffmpeg_job
from tests.bench.quality import EVERY, psnr, vmaf


@dataclass(frozen=True, slots=True)
class Wish:
    """Settings to be tried: a preset, with Liput's delay and `more` behind it, or in their place x264's own."""

    name: str
    preset: str
    more: str = ""
    as_peers: bool = False

    def settings(self, plain: VideoSettings) -> VideoSettings:
        """Return the settings for a clip that is encoded with `plain` ones."""
        params = "" if self.as_peers else None
        return replace(plain, preset=self.preset, more_params=self.more, x264_params=params)


PEERS = Wish("veryfast, x264's own", "veryfast", as_peers=True)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a wish on a clip: a part of the CPU that x264's own settings took, bits a second, VMAF, dB."""

    cpu: tuple[float, ...]
    rate: float
    vmaf: float
    above: float
    psnr: float


def wish(word: str) -> Wish:
    """Return what a word of the command line asks for."""
    preset, _, more = word.partition(":")
    return Wish(word, preset, more)


def pictures(clip: Clip) -> Iterator[tuple[av.VideoFrame, float]]:
    """Yield the pictures as a session has them, each with the CPU seconds of this thread that it took to have it."""
    source = FileVideoSource(clip.path, FastPace(("video",)))
    source.open()
    last: Frame | None = None
    picture: av.VideoFrame | None = None
    try:
        while True:
            began = time.thread_time()
            frame = source.read(1.0)
            if frame is None:
                continue
            if picture is None or last is None or frame.payload != last.payload:
                picture = source.decode(frame)
            last = frame
            yield picture, time.thread_time() - began
    except SourceEnded:
        return
    finally:
        source.close()


def plain_settings(clip: Clip) -> VideoSettings:
    """Return what the encoder is asked for of a clip, as a session would."""
    profile = Profile(width=clip.width, height=clip.height, fps=Fraction(clip.rate), video_bitrate=clip.bit_rate)
    source = FileVideoSource(clip.path, FastPace(("video",)))
    try:
        return video_settings(profile, source.open())
    finally:
        source.close()


def encode(clip: Clip, settings: VideoSettings, path: Path) -> float:
    """Encode the clip into an MP4; return the CPU seconds that it took, without decoding and muxing."""
    began, decoding = time.process_time(), 0.0
    encoder = Encoder(settings, None)
    packets: list[EncodedPacket] = []
    for number, (picture, took) in enumerate(pictures(clip)):
        decoding += took
        packets += encoder.encode_video(picture, round(number / clip.rate / VIDEO_TIME_BASE))
    packets += encoder.flush(Track.VIDEO)
    cpu_s = time.process_time() - began - decoding
    _write(encoder, packets, path)
    encoder.close()
    return cpu_s


def _write(encoder: Encoder, packets: Sequence[EncodedPacket], path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream_from_template(encoder.templates[Track.VIDEO], opaque=True)
        for packet in packets:
            copy: av.Packet[av.stream.Stream] = av.Packet(packet.data)
            copy.stream, copy.time_base = stream, packet.time_base
            copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
            copy.is_keyframe = packet.is_keyframe
            container.mux(copy)


def compare(
    clip: Clip, wishes: Sequence[Wish], runs: int, peers_vmaf: float, every: int
) -> Iterator[tuple[Wish, Figures]]:
    """Encode with all wishes by turns, the first one what the others are a part of; give the figures of each."""
    plain = plain_settings(clip)
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
        files = {one.name: Path(name) / f"{number}.mp4" for number, one in enumerate(wishes)}
        took: dict[str, list[float]] = {one.name: [] for one in wishes}
        for _ in range(runs):
            for one in wishes:
                took[one.name].append(encode(clip, one.settings(plain), files[one.name]))
        for one in wishes:
            parts = zip(took[one.name], took[wishes[0].name], strict=True)
            path = files[one.name]
            judged_as = vmaf(path, clip.path, every)
            yield (
                one,
                Figures(
                    cpu=tuple(ours / first for ours, first in parts),
                    rate=path.stat().st_size * 8 / clip.seconds,
                    vmaf=judged_as,
                    above=judged_as - peers_vmaf,
                    psnr=psnr(path, clip.path),
                ),
            )


def main() -> None:
    """Print the figures of each clip as they are known."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wishes", nargs="+", type=wish, metavar="PRESET[:PARAMETER=VALUE...]")
    parser.add_argument("--clips", default="bunny,bikes,mix,camera,slides")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--every", type=int, default=EVERY, help="of so many pictures one is judged")
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("liput") / "bench")
    told = parser.parse_args()
    known = {**footage(told.cache), **clips(told.cache)}
    for name in told.clips.split(","):
        clip = known[name]
        peers_vmaf = judged(ffmpeg_job, clip)
        print(f"{name}, VMAF of ffmpeg's veryfast {peers_vmaf:.2f}", flush=True)
        for one, found in compare(clip, (PEERS, *told.wishes), told.runs, peers_vmaf, told.every):
            spread = f"{min(found.cpu):.3f} to {max(found.cpu):.3f}"
            print(
                f"  {one.name}: CPU {median(found.cpu):.3f} ({spread}), {found.rate / 1000:.0f} kb/s, "
                f"VMAF {found.vmaf:.2f} ({found.above:+.2f}), {found.psnr:.2f} dB",
                flush=True,
            )


if __name__ == "__main__":
    main()
