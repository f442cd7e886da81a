"""What files of media are said to hold, against what the ffmpeg command finds in them."""

import os
import subprocess
from pathlib import Path

import av
import av.logging
import pytest

from config.errors import MediaError
from recorder.archive.sealing import poster_of
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


@pytest.mark.parametrize("source", ["color=white:s=3840x2160", "color=white:s=640x1136", "color=black:s=320x180"])
def test_a_poster_keeps_the_shape_and_is_not_large(source: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    ffmpeg("-f", "lavfi", "-i", f"{source}:r=5:d=1", "-c:v", "libx264", "-preset", "ultrafast", path)
    picture = tmp_path / "poster.jpg"
    picture.write_bytes(poster_of(path) or b"")
    shown = media.run(
        "ffprobe", "-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", picture
    ).strip()
    assert shown == {"3840x2160": "1280,720", "640x1136": "640,1136", "320x180": "320,180"}[source.rpartition("=")[2]]


def test_sound_alone_and_rubbish_have_no_poster(program: Path, tmp_path: Path) -> None:
    sound = tmp_path / "sound.mp4"
    ffmpeg("-i", program, "-vn", "-c", "copy", sound)
    assert poster_of(sound) is None
    assert [track.index for track in probe_media(sound, "x").tracks] == [0]
    rubbish = tmp_path / "rubbish.mp4"
    rubbish.write_bytes(b"rubbish" * 100)
    assert poster_of(rubbish) is None


def test_a_poster_is_not_taken_from_a_file_that_another_one_names(program: Path, tmp_path: Path) -> None:
    """A package may come from elsewhere: what it calls its recording may be a list of other files of this PC."""
    (tmp_path / "other.mp4").write_bytes(program.read_bytes())
    listing = tmp_path / "program.mp4"
    listing.write_text("ffconcat version 1.0\nfile other.mp4\n")
    assert poster_of(tmp_path / "other.mp4")
    assert poster_of(listing) is None


def test_no_mistake_of_a_poster_costs_the_sealing(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> float:
        raise MemoryError

    monkeypatch.setattr("recorder.archive.sealing._luma", broken)
    assert poster_of(program) is None


def test_the_ffmpeg_command_agrees_that_the_recording_is_good(program: Path) -> None:
    media.decodes_cleanly(program)
    assert subprocess.run(["ffprobe", "-v", "error", program], check=True, capture_output=True).stderr == b""


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_the_poster_has_the_colours_of_the_recording(matrix: str, tmp_path: Path) -> None:
    """Against ffmpeg's own conversion of the same picture to RGB: whatever the matrix, JPEG's is BT.601, full range."""
    path, picture = tmp_path / "bars.mp4", tmp_path / "poster.jpg"
    convert = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", "rgbtestsrc=s=320x240:r=5:d=1", "-vf", convert, "-colorspace", matrix,
           "-color_range", "tv", "-c:v", "libx264", "-qp", "1", path)  # fmt: skip
    picture.write_bytes(poster_of(path) or b"")
    shown, real = rgb_down_the_middle(picture, "bt601", "pc"), rgb_down_the_middle(path, matrix, "tv")
    for row in (40, 120, 200):
        assert shown[row] == pytest.approx(real[row], abs=6), f"row {row}"


def rgb_down_the_middle(path: Path, matrix: str, color_range: str) -> list[tuple[int, ...]]:
    convert = f"scale=in_color_matrix={matrix}:in_range={color_range},format=rgb24"
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-vf", convert, "-f", "rawvideo", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    rows = [done.stdout[start : start + 320 * 3] for start in range(0, 240 * 320 * 3, 320 * 3)]
    return [tuple(row[160 * 3 : 160 * 3 + 3]) for row in rows]
