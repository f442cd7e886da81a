"""Inputs of sound with a track of their own: in the recording, by name, as long as the program, and nowhere else."""

import json
import subprocess
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from capture.pacing import FastPace
from capture.source import AudioBlock
from capture.sources.kind import ChosenSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import EncoderError
from config.events import Event
from config.settings.schema import BUILT_IN_PROFILES
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.model.packet import EncodedPacket, Track, sound_track
from recorder.package.media import probe
from recorder.program.mixer import SoundInput
from recorder.recovery.copying import copy, look
from recorder.session.session import Session
from tests.support import media
from tests.support.plans import session_plan

PROFILE = BUILT_IN_PROFILES["240p15"]


def streams(path: Path) -> list[dict[str, object]]:
    """Return what ffprobe tells of the tracks of sound."""
    told = media.run("ffprobe", "-v", "error", "-select_streams", "a", "-show_entries",
                     "stream=codec_name,channels,duration:stream_tags=handler_name:stream_disposition=default",
                     "-of", "json", path)  # fmt: skip
    found: list[dict[str, object]] = json.loads(told)["streams"]
    return found


def sound_of(path: Path, track: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    words = ["-v", "error", "-i", str(path), "-map", f"0:a:{track}", "-f", "s16le", "-ac", "1", "-"]
    return np.frombuffer(subprocess.run(["ffmpeg", *words], capture_output=True, check=True).stdout, np.int16)


class Tone(SyntheticAudio):
    """A source of one pitch, so that it can be told from others in a mix."""

    def __init__(self, name: str, hertz: int, pace: FastPace, stop: threading.Event) -> None:
        super().__init__(pace, stop)
        self.name = name
        self._hertz = hertz
        self._given = 0

    def read(self, timeout_s: float) -> AudioBlock | None:
        block = super().read(timeout_s)
        if block is None:
            return None
        angle = 2 * np.pi * self._hertz * np.arange(self._given, self._given + len(block.samples)) / 48_000
        self._given += len(block.samples)
        wave = np.rint(4000 * np.sin(angle)).astype(np.int16)
        return replace(block, samples=np.stack([wave, wave], axis=1))


def level_db(samples: np.ndarray[tuple[int], np.dtype[np.int16]], hertz: int) -> float:
    """Return how loud one pitch is in `samples`."""
    middle = samples[24_000:72_000].astype(np.float64) / 32_768
    angle = 2 * np.pi * hertz * np.arange(len(middle)) / 48_000
    amplitude = 2 * np.abs((middle * np.exp(-1j * angle)).mean())
    return float(20 * np.log10(amplitude + 1e-9))


def test_a_session_records_its_mix_and_each_input_that_asks_for_it(tmp_path: Path) -> None:
    stop, clock = threading.Event(), SystemClock()
    pace = FastPace(("video", "audio"))
    plan = session_plan(
        title="Tiga mikrofon",
        profile=PROFILE,
        pictures=[ChosenSource("kamera", SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop))],
        sounds=[
            SoundInput("podium", Tone("podium", 440, pace, stop), own_track=True),
            SoundInput("ruang", Tone("ruang", 1000, pace, stop), gain_db=-20),
            SoundInput("tamu jauh", Tone("tamu jauh", 3000, pace, stop), gain_db=6, own_track=True),
        ],
        archives=[Archive(tmp_path, clock, reserve_bytes=1)],
        pace=pace,
        stop=stop,
        live=False,
        duration_s=2.0,
    )
    events: list[Event] = []
    session = Session(plan, clock=clock, listener=events.append)
    session.start()
    result = session.run()
    assert result.package
    program = Path(result.package) / "data/media/program.mp4"
    found = streams(program)
    assert [stream["tags"] for stream in found] == [{"handler_name": name} for name in ("Mix", "podium", "tamu jauh")]
    assert [stream["disposition"] for stream in found] == [{"default": 1}, {"default": 0}, {"default": 0}]
    assert [float(str(stream["duration"])) for stream in found] == [pytest.approx(2, abs=0.025)] * 3
    levels = [[round(level_db(sound_of(program, track), hertz)) for hertz in (440, 1000, 3000)] for track in range(3)]
    as_it_is = round(20 * np.log10(4000 / 32_768))
    assert levels[0] == [pytest.approx(level, abs=1) for level in (as_it_is, as_it_is - 20, as_it_is + 6)]
    assert levels[1][0] == pytest.approx(as_it_is, abs=1)
    assert levels[2][2] == pytest.approx(as_it_is, abs=1)
    assert max(levels[1][1:] + levels[2][:2]) < -50
    assert probe(program, "program.mp4").problem is None
    recovered = tmp_path / "recovered.mp4"
    copy([look(program)], recovered)  # as what a crash left is joined
    assert [stream["tags"] for stream in streams(recovered)] == [stream["tags"] for stream in found]
    (ended,) = (event for event in events if event.kind == "session-ended")
    assert ended.detail["drift_ppm"] == {"podium": None, "ruang": None, "tamu jauh": None}
    assert isinstance(ended.detail["loudness_lufs"], float)


def test_an_own_track_is_encoded_apart_and_counts_the_same_samples() -> None:
    encoder = Encoder(None, AudioSettings(2, 96_000), {"podium": AudioSettings(1, 64_000)})
    own = sound_track("podium")
    assert list(encoder.templates) == [Track.AUDIO, own]
    packets: list[EncodedPacket] = []
    for number in range(10):
        packets += encoder.encode_audio(np.zeros((AAC_FRAME, 2), np.int16), number * AAC_FRAME)
        packets += encoder.encode_audio(np.zeros((AAC_FRAME, 1), np.int16), number * AAC_FRAME, own)
    for track in (Track.AUDIO, own):
        packets += encoder.flush(track)
    times = {track: [packet.pts for packet in packets if packet.track == track] for track in (Track.AUDIO, own)}
    assert times[own] == times[Track.AUDIO] == [(number - 1) * AAC_FRAME for number in range(11)]
    assert {packet.time_base for packet in packets} == {Fraction(1, 48_000)}
    with pytest.raises(EncoderError, match="no sound:ruang"):
        encoder.encode_audio(np.zeros((AAC_FRAME, 2), np.int16), 0, sound_track("ruang"))
    encoder.close()


def test_without_tracks_of_their_own_the_program_has_no_title() -> None:
    encoder = Encoder(None, AudioSettings(2, 96_000))
    assert encoder.templates[Track.AUDIO].metadata == {}
    encoder.close()
