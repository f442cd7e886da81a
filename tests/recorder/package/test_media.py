"""What files of media are said to hold, against what the ffmpeg command finds in them."""

import os
import subprocess
from pathlib import Path

import av
import av.logging
import pytest

from config.errors import MediaError
from recorder.package.media import decode_all, holds_media, probe_media
from recorder.package.metadata import AudioTrack, VideoTrack
from recorder.recovery.remux import has_tracks, inspect_media
from tests.support import media


def ffmpeg(*arguments: str | Path) -> None:
    media.run("ffmpeg", "-v", "error", "-y", *arguments)


@pytest.fixture(scope="module")
def fragmented(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Path:
    """Return what a kill leaves: fragments of a quarter second, and a moov that knows none of them."""
    path = tmp_path_factory.mktemp("media") / "killed.mp4"
    flags = "frag_keyframe+empty_moov+default_base_moof"
    ffmpeg("-i", program, "-c", "copy", "-movflags", flags, "-frag_duration", "250000", path)
    return path


@pytest.fixture(scope="module")
def matroska(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Path:
    path = tmp_path_factory.mktemp("media") / "program.mkv"
    ffmpeg("-i", program, "-c", "copy", path)
    return path


@pytest.mark.parametrize("which", ["program", "fragmented", "matroska"])
def test_frames_and_length_are_those_that_ffmpeg_decodes(which: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(which)
    described = probe_media(path, "data/media/x")
    assert (described.file, described.bytes, described.problem) == ("data/media/x", path.stat().st_size, None)
    video, audio = described.tracks
    assert isinstance(video, VideoTrack)
    assert isinstance(audio, AudioTrack)
    pictures, sound = media.decoded(path, "v"), media.decoded(path, "a")
    assert video.frames == pictures.frames == 50
    assert video.duration_s == pytest.approx(pictures.end_s - pictures.start_s, abs=0.002)
    assert audio.duration_s == pytest.approx(sound.end_s - sound.start_s, abs=0.05)
    for track, real in zip(decode_all(path).values(), described.tracks, strict=True):
        assert track.duration_s == pytest.approx(real.duration_s, abs=0.05)


def test_a_file_cut_off_in_a_fragment_is_described_as_far_as_it_goes(fragmented: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(fragmented.read_bytes()[: fragmented.stat().st_size * 6 // 10])
    video = probe_media(cut, "x").tracks[0]
    assert isinstance(video, VideoTrack)
    assert 15 < video.frames < 45
    assert video.duration_s == pytest.approx(video.frames / 25, abs=0.05)


def test_a_playlist_that_calls_itself_media_opens_nothing(program: Path, tmp_path: Path) -> None:
    fake = tmp_path / "program.mp4"
    fake.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{program}\n#EXT-X-ENDLIST\n")
    assert probe_media(fake, "x").problem
    with pytest.raises(MediaError):
        decode_all(fake)
    (tmp_path / "other.mp4").write_bytes(program.read_bytes())
    fake.write_text("ffconcat version 1.0\nfile 'other.mp4'\n")
    assert probe_media(fake, "x").problem
    with pytest.raises(MediaError):
        decode_all(fake)


def test_what_may_be_media_counts_as_media(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "program.mp4"
    path.touch()
    assert not holds_media(path)
    path.write_bytes(b"\0" * 100)
    assert not holds_media(path)
    path.write_bytes(b"\0" * 10_000)
    assert holds_media(path)
    assert holds_media(program)


def test_no_picture_is_decoded_to_see_whether_there_is_one(program: Path, tmp_path: Path) -> None:
    """Each of these opens the recording once more when a session is sealed; a decoder would complain of this one."""
    path = tmp_path / "program.mp4"
    content = bytearray(program.read_bytes())
    keyframe = content.index(b"\x65\x88", content.index(b"x264 - core"))
    content[keyframe + 100 : keyframe + 400] = bytes(300)
    path.write_bytes(content)
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as complaints:
            assert holds_media(path)
            assert has_tracks(inspect_media(path))
            assert complaints == []
            probe_media(path, "x")
            assert complaints != []
    finally:
        av.logging.set_level(before)


def test_damage_in_the_middle_is_named_with_its_time(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    content = bytearray(program.read_bytes())
    start = content.index(b"mdat") + len(content) // 2
    content[start : start + 300] = os.urandom(300)
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"at \d+\.\d{3} s"):
        decode_all(path)


def test_the_ffmpeg_command_agrees_that_the_recording_is_good(program: Path) -> None:
    media.decodes_cleanly(program)
    assert subprocess.run(["ffprobe", "-v", "error", program], check=True, capture_output=True).stderr == b""
