"""Sessions whose program stands still, with the real encoder: what ffmpeg makes of their files."""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]  # ships no types

from capture.source import ColorMatrix
from config.events import Event
from config.settings.schema import Profile, Settings, VideoDefaults
from config.settings.schema import RecordingSettings as RecordingSettings
from devices.host.clock import SystemClock
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.encode.x264 import DELAY_S, STILL_RATE, VideoSettings, x264_settings
from recorder.live_encode.live_encoder import live_settings
from recorder.mp4.fragments import FragmentReader
from recorder.program.video_track import PATIENCE_S
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session
from tests.bench.material import Clip, write
from tests.bench.sinks import MuxedFile
from tests.support import media
from tests.support.media import OneFile
from tests.support.packets import also_to
from tests.support.waiting import wait_for

WIDTH, HEIGHT, RATE = 320, 240, 30
SECONDS = 8
SLIDES = (0, 47, 130, 133)
"""The pictures with which another slide comes; from MOVES on, for a second, each is another one."""
MOVES = range(160, 190)
SLOWEST = VideoSettings(WIDTH, HEIGHT, Fraction(RATE), ColorMatrix.BT601, 400_000, 400_000, slowest=STILL_RATE)


def jpegs() -> Iterator[bytes]:
    across, down = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    for number in range(SECONDS * RATE):
        slide = sum(number >= first for first in SLIDES)
        shift = number - MOVES.start + 1 if number in MOVES else 0
        planes = (across // 2 + 40 * slide + 3 * shift, down // 2 + 20 * slide, np.full_like(across, 40 * slide))
        picture = np.ascontiguousarray(np.stack(planes, axis=2) % 224 + 16, np.uint8)
        yield bytes(simplejpeg.encode_jpeg(picture, 90, "BGR", "422"))


class Recorded(NamedTuple):
    """A session that has recorded a clip, its film, the same as FLV, and what happened."""

    clip: Path
    session: Session
    film: Path
    flv: Path
    events: list[Event]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("adaptive")
    clip = Clip(folder / "slides.mkv", WIDTH, HEIGHT, RATE, SECONDS * RATE, 1_500_000)
    write(clip, jpegs())
    profile = Profile(width=WIDTH, height=HEIGHT, fps=Fraction(RATE), video_bitrate=clip.bit_rate)
    settings = Settings(profiles={"1080p30": profile}, video=VideoDefaults(adaptive_rate=True))
    words = (str(clip.path),)
    asked = SessionRequest(title="Rapat", videos=words, audios=words, live=False, archive=folder / "arsip", reserve=1)
    clock, events = SystemClock(), list[Event]()
    session = Session(plan_session(asked, settings, clock).plan, clock=clock, listener=events.append)
    session.start()
    with also_to(lambda templates: MuxedFile(folder / "out.flv", "flv", templates)):
        result = session.run()
    assert (result.state, result.degraded) == ("sealed", [])
    film = Path(result.package or "") / "data/media/program.mp4"
    return Recorded(clip.path, session, film, folder / "out.flv", events)


def test_every_change_is_in_the_file_at_its_own_time_and_lasts_until_the_next(recorded: Recorded) -> None:
    status, film = recorded.session.status(), recorded.film
    shown = media.shown(film, "v")
    assert status.frames == len(shown)
    assert (status.frames + status.still, status.dropped, status.repeated) == (SECONDS * RATE, 0, 0)
    assert len(shown) < SECONDS * RATE / 2
    changes = {*SLIDES, *MOVES, MOVES.stop}
    assert not [number for number in changes if min(abs(at_s - number / RATE) for at_s in shown) > 0.002]
    assert max(after - before for before, after in pairwise(shown)) <= 1 / STILL_RATE + 0.5 / RATE
    media.decodes_cleanly(film)
    assert media.decoded(film, "v").end_s == pytest.approx(SECONDS, abs=0.003)
    assert media.duration_s(film, "v") == pytest.approx(SECONDS, abs=0.003)
    first, *later = media.shown(recorded.flv, "v")  # sound begins with its run-in, at 0
    assert [at_s - first for at_s in later] == pytest.approx(shown[1:], abs=0.0011)
    media.decodes_cleanly(recorded.flv)


def test_the_log_says_so(recorded: Recorded) -> None:
    live, *_, ended = recorded.events
    assert (live.kind, live.detail["still_rate"]) == ("session-live", 5.0)
    assert (ended.kind, ended.detail["still"]) == ("session-ended", recorded.session.status().still)


def test_no_more_than_one_picture_waits_for_the_next() -> None:
    encoder = Encoder(SLOWEST, None)
    came = [len(encoder.encode_video(picture, pts)) for picture, pts in still(Fraction(2))]
    encoder.close()
    assert came == [0] + [1] * (len(came) - 1)
    assert x264_settings(SLOWEST).delay_frames == 1 <= DELAY_S * STILL_RATE


def test_a_live_encode_of_its_own_looks_ahead_as_ever_since_it_gets_every_picture() -> None:
    assert live_settings(SLOWEST, 300_000) == live_settings(dataclasses.replace(SLOWEST, slowest=None), 300_000)


def still(seconds: Fraction) -> Iterator[tuple[av.VideoFrame, int]]:
    """Yield a picture that stands still, STILL_RATE times a second."""
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes([100]) * plane.buffer_size)
    for number in range(round(seconds * STILL_RATE)):
        yield picture, round(number * 90_000 / STILL_RATE)


def test_a_kill_costs_no_more_where_it_stands_still(tmp_path: Path) -> None:
    """What was fed and is not in the file: with the patience for a quiet source that is what a kill costs."""
    encoder = Encoder(SLOWEST, AudioSettings(1, 64_000))
    problems: list[Exception] = []
    recording = OneFile(
        tmp_path / "program.mp4", encoder.templates, on_failure=problems.append,
        settings=RecordingSettings(fragment_s=0.2),
    )  # fmt: skip
    silence, sound = np.zeros((AAC_FRAME, 1), np.int16), 0
    worst_s = 0.0
    with (tmp_path / "program.mp4").open("rb") as file:
        reader = FragmentReader(file.fileno())
        for picture, pts in still(Fraction(6)):
            at_s = pts / 90_000
            while (sound + 1) * AAC_FRAME / 48_000 <= at_s:
                for packet in encoder.encode_audio(silence, sound * AAC_FRAME):
                    recording.put(packet)
                sound += 1
            if at_s > 2:  # just before the next picture is there, most is missing
                wait_for(lambda: not recording.waiting)  # until the writer has taken what it was given
                reader.advance()
                worst_s = max(worst_s, at_s - float(reader.media_time_s))
            for packet in encoder.encode_video(picture, pts):
                recording.put(packet)
    recording.close()
    encoder.close()
    assert not problems
    assert 0 < worst_s <= 1.0 - PATIENCE_S  # docs/architecture.md, the first invariant
