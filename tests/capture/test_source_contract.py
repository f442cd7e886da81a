"""Every kind of source in capture/sources keeps the contract of capture/source.py."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from capture.detectors.detector_factory import DetectorFactory
from capture.media.pictures import plane_views
from capture.pacing import FastPace, RealPace
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource, ColorMatrix, Frame, VideoSource
from capture.sources.source_kind import ChosenSource, SourceContext, SourceKind, source_kind
from capture.sources.source_kind_names import source_name, source_names
from capture.sources.source_selector import SourceSelector
from config.errors import MediaError, UsageError
from config.settings.schema import Profile, Settings
from devices.host.clock import NANOSECONDS, SystemClock
from tests.support.sources import a_source

KINDS = {name: kind for name in sorted(source_names()) if (kind := source_kind(name))}
PICTURES = [name for name, kind in KINDS.items() if kind.picture]
SOUNDS = [name for name, kind in KINDS.items() if kind.sound]
REQUIRED = Profile(width=320, height=240, fps=Fraction(15), video_bitrate=300_000)
LONGEST_S = 60.0


def selector() -> SourceSelector:
    clock, stop = SystemClock(), threading.Event()
    watcher = DetectorFactory(Settings(), clock)
    return SourceSelector(SourceContext(REQUIRED, RealPace(clock, stop), clock, stop, live=True, watcher=watcher))


@pytest.fixture
def word(name: str, tmp_path: Path) -> Iterator[str]:
    with a_source(name, tmp_path) as word:
        yield word


@pytest.fixture
def picture(word: str) -> ChosenSource[VideoSource]:
    (chosen,) = selector().choose([word], ["none"]).pictures
    return chosen


@pytest.fixture
def sound(word: str) -> ChosenSource[AudioSource]:
    (chosen,) = selector().choose(["synthetic"], [word]).sounds
    return chosen


def taken[Item](read: Callable[[float], Item | None], count: int) -> list[Item]:
    """Return the next items of a source; no call may exceed its timeout by much."""
    items: list[Item] = []
    deadline = time.monotonic() + LONGEST_S
    while len(items) < count:
        began = time.monotonic()
        item = read(0.1)
        now = time.monotonic()
        assert now - began < LONGEST_S / 6, "a call blocks longer than it is told to"
        assert now < deadline, "nothing comes"
        if item is not None:
            items.append(item)
    return items


@pytest.mark.parametrize("name", KINDS)
def test_a_word_means_it_and_tells_its_name_without_opening_it(name: str, word: str) -> None:
    assert isinstance(KINDS[name], SourceKind)
    assert source_name(word) == name
    assert KINDS[name].name(word).strip()
    assert KINDS[name].picture or KINDS[name].sound


@pytest.mark.parametrize("name", KINDS)
def test_what_means_nothing_behind_its_name_is_refused(name: str) -> None:
    kind, word = KINDS[name], f"{name}:no such thing"
    with pytest.raises(UsageError):
        kind.name(word)
    if kind.picture:
        with pytest.raises(UsageError):
            selector().choose([word], ["synthetic"])
    if kind.sound:
        with pytest.raises(UsageError):
            selector().choose(["synthetic"], [word])


@pytest.mark.parametrize("name", KINDS)
def test_as_fast_as_it_goes_it_waits_for_other_tracks_and_holds_none_up(name: str, word: str) -> None:
    clock, stop = SystemClock(), threading.Event()
    pace = FastPace(("video", "audio"))
    fast = SourceSelector(
        SourceContext(REQUIRED, pace, clock, stop, live=False, watcher=DetectorFactory(Settings(), clock))
    )
    try:
        chosen = fast.choose(
            [word if KINDS[name].picture else "synthetic"], [word if KINDS[name].sound else "synthetic"]
        )
    except UsageError as error:
        assert "at full speed" in error.message  # noqa: PT017 - one that shows the present says that it cannot
        return
    (picture,), (sound,) = chosen.pictures, chosen.sounds
    with closing(picture.source), closing(sound.source):
        picture.source.open()
        sound.source.open()
        frames, blocks = list[Frame](), list[AudioBlock]()
        deadline = time.monotonic() + LONGEST_S
        while len(frames) < 2 * REQUIRED.fps or len(blocks) < 60:
            assert time.monotonic() < deadline, f"{len(frames)} pictures and {len(blocks)} blocks, then nothing comes"
            frames += filter(None, [picture.source.read(0.01)])
            blocks += filter(None, [sound.source.read(0.01)])
        ahead_ns = frames[-1].timestamp_ns - blocks[-1].timestamp_ns
        assert abs(ahead_ns) < NANOSECONDS // 5
        stop.set()
        assert picture.source.read(0.01) is None
        assert sound.source.read(0.01) is None


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_no_larger_than_wanted_and_their_times_never_go_back(picture: ChosenSource[VideoSource]) -> None:
    (again,) = selector().choose([picture.word], ["none"]).pictures
    assert (again.name, again.word) == (picture.name, picture.word), "its word means it again"
    source = picture.source
    with closing(source):
        opened = source.open()
        assert 0 < opened.width <= REQUIRED.width
        assert 0 < opened.height <= REQUIRED.height
        assert opened.width % 2 == opened.height % 2 == 0
        assert opened.rate > 0
        assert opened.matrix in set(ColorMatrix)
        frames = taken(source.read, 4)
        times = [frame.timestamp_ns for frame in frames]
        assert times == sorted(times)
        assert abs(times[-1] - time.monotonic_ns()) < LONGEST_S * NANOSECONDS
        for frame in frames:
            shown = source.decode(frame)
            assert (shown.format.name, shown.width, shown.height) == ("yuv420p", opened.width, opened.height)
        inset = source.decode(frames[0], (opened.width // 4, opened.height // 4))
        assert inset.format.name == "yuv420p"
        assert 0 < inset.width <= opened.width // 4
        assert 0 < inset.height <= opened.height // 4
        assert inset.width % 2 == inset.height % 2 == 0


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_stays_unchanged_until_the_next_call_but_one_and_what_is_none_is_damaged(
    picture: ChosenSource[VideoSource],
) -> None:
    source = picture.source
    source.open()
    first, second = taken(source.read, 2)
    shown = source.decode(first)
    before = [plane.copy() for plane in plane_views(shown)]
    source.decode(second)
    assert all(np.array_equal(plane, kept) for plane, kept in zip(plane_views(shown), before, strict=True))
    with pytest.raises(MediaError):
        source.decode(Frame(0, b"no picture"))
    source.close()
    source.close()


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_is_of_whole_samples_that_follow_each_other(sound: ChosenSource[AudioSource]) -> None:
    source = sound.source
    source.open()
    assert source.channels in (1, 2)
    blocks = taken(source.read, 8)
    for block in blocks:
        assert block.samples.dtype == np.int16
        assert block.samples.shape[0] > 0
        assert block.samples.shape[1:] == (source.channels,)
    for before, block in pairwise(blocks):
        follows_ns = before.timestamp_ns + len(before.samples) * NANOSECONDS // SAMPLE_RATE
        assert block.lost or abs(block.timestamp_ns - follows_ns) < NANOSECONDS // 10
    source.close()
    source.close()
