"""Audio through the real PortAudio from a private sound server; a child that died; names of inputs."""

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest

from capture.sound import child_process
from capture.sound.child import make_callback
from capture.sound.child_process import SoundChild, SoundRequest, card_and_device, card_number, pcm_node
from capture.sound.inputs import find_sound_input, list_sound_inputs, server_inputs
from capture.sound.source import SoundSource, resampler
from capture.source import SAMPLE_RATE
from config.errors import DeviceError, DeviceNotFound
from devices.model.device import Device, DeviceKind
from tests.support.errors import because
from tests.support.markers import blocks_of
from tests.support.sound_server import INPUT, PulseMicrophone, tones
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("late sound is lost", lane="sound"), pytest.mark.server]


@pytest.fixture
def microphone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseMicrophone]:
    """Provide a private sound server; PortAudio has its microphone as `room`."""
    with PulseMicrophone(tmp_path) as microphone:
        microphone.install(monkeypatch)
        yield microphone


def child_of(source: SoundSource) -> psutil.Process:
    """Return the child process of `source`."""
    children = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    (child,) = (child for child in children if "capture.sound.child" in child.cmdline())
    return child


def test_each_tone_arrives_in_its_channel_with_its_time(microphone: PulseMicrophone) -> None:
    with closing(SoundSource(INPUT)) as source, microphone.speak(tones(440, 880, 30)):
        source.open()
        blocks_of(source, 1)
        blocks = blocks_of(source, 2)
        sound = np.concatenate([block.samples for block in blocks])[-SAMPLE_RATE:]
        assert [int(np.abs(np.fft.rfft(channel)).argmax()) for channel in sound.T] == [440, 880]
        assert (str(sound.dtype), sound.shape[1], source.channels) == ("int16", 2, 2)
        assert {len(block.samples) for block in blocks} == {960}
        stamps = np.array([block.timestamp_ns for block in blocks]) / 1e9
        expected = stamps[0] + np.arange(len(blocks)) * 0.02
        assert float(np.median(np.abs(stamps - expected))) < 0.02
        assert 0 < time.monotonic() - stamps[-1] < 0.5
        assert source.overflows == 0


def test_reading_waits_no_longer_than_it_is_told(microphone: PulseMicrophone) -> None:
    with closing(SoundSource(INPUT)) as source:
        source.open()
        blocks_of(source, 0.5)
        child_of(source).suspend()
        while source.read(0) is not None:
            pass
        began = time.monotonic()
        assert source.read(0.1) is None
        assert 0.09 < time.monotonic() - began < 0.8


def test_an_input_that_is_silent_for_a_second_is_lost_and_closing_is_quick(microphone: PulseMicrophone) -> None:
    with closing(SoundSource(INPUT)) as source:
        source.open()
        blocks_of(source, 0.5)
        child = child_of(source)
        child.suspend()
        began = time.monotonic()
        with pytest.raises(DeviceError, match=r"room \(room\) was lost", check=because("lost")):
            _read_for(source, 5)
        assert 0.8 < time.monotonic() - began < 4.5
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 5
        wait_for(lambda: not child.is_running())


def test_an_input_that_nobody_asked_for_a_while_is_not_lost_by_that(microphone: PulseMicrophone) -> None:
    with closing(SoundSource(INPUT)) as source:
        source.open()
        blocks_of(source, 0.5)
        child = child_of(source)
        child.suspend()
        while source.read(0) is not None:
            pass
        time.sleep(1.3)  # as on a PC that stands still: neither has had its turn
        assert source.read(0.1) is None
        child.resume()
        blocks_of(source, 0.5)


def test_an_input_that_is_opened_again_begins_anew(microphone: PulseMicrophone) -> None:
    with closing(SoundSource(INPUT)) as source:
        source.open()
        source.close()
        reopened_ns = time.monotonic_ns()
        source.open()
        block = source.read(0.5)
        assert block is not None
        assert block.timestamp_ns > reopened_ns


def _read_for(source: SoundSource, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        source.read(0.1)


def test_unplugging_is_noticed_though_portaudio_says_nothing(microphone: PulseMicrophone) -> None:
    with closing(SoundSource(INPUT)) as source:
        source.open()
        blocks_of(source, 0.5)
        microphone.unplug()
        with pytest.raises(DeviceError, check=because("lost")):
            _read_for(source, 5)


def test_a_child_that_dies_is_a_device_that_is_lost_without_waiting_for_more(
    microphone: PulseMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.sound.child_process._SILENCE_S", 60.0)
    with closing(SoundSource(INPUT)) as source:
        source.open()
        blocks_of(source, 0.2)
        child_of(source).kill()
        with pytest.raises(DeviceError, check=because("lost")):
            _read_for(source, 30)
    with pytest.raises(DeviceError, check=because("lost")):
        source.read(0.1)


@pytest.mark.parametrize("speaks", [True, False])
def test_a_child_ends_with_its_parent_however_that_ends(microphone: PulseMicrophone, *, speaks: bool) -> None:
    script = (
        "from capture.sound.source import SoundSource; import sys\n"
        f"source = SoundSource({INPUT!r}); source.open(); print('open', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "open\n"
        (child,) = psutil.Process(parent.pid).children()
        assert os.getsid(child.pid) != os.getsid(parent.pid)
        if not speaks:  # then it is not a broken pipe that ends it
            microphone.unplug()
        parent.send_signal(signal.SIGKILL)
        child.wait(2)


def test_a_child_inherits_no_secret_and_no_file(microphone: PulseMicrophone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPUT_STREAM_KEY", "sesame")
    with closing(SoundSource(INPUT)) as source, Path(os.devnull).open() as inherited:
        os.set_inheritable(inherited.fileno(), True)
        source.open()
        child = child_of(source)
        assert "sesame" not in str(child.environ())
        assert "sesame" not in str(child.cmdline())
        assert INPUT not in child.cmdline()
        ours = {Path(f"/proc/self/fd/{fd.name}").resolve() for fd in Path("/proc/self/fd").iterdir() if fd.exists()}
        theirs = {fd.resolve() for fd in Path(f"/proc/{child.pid}/fd").iterdir() if fd.exists()}
        assert not {path for path in ours & theirs if path.is_file()}


class Times:
    """PortAudio's times of a block whose first sample is 30 ms old."""

    currentTime = 10.03  # noqa: N815 - PortAudio's name
    inputBufferAdcTime = 10.0  # noqa: N815


class Status:
    """PortAudio's flags of a block."""

    def __init__(self, *, input_overflow: bool) -> None:
        self.input_overflow = input_overflow


def test_lost_samples_are_told_with_the_next_block_that_gets_through() -> None:
    blocks: queue.Queue[tuple[int, int, bool, bytes]] = queue.Queue(2)
    take = make_callback(blocks, SAMPLE_RATE)
    fine, overflow = Status(input_overflow=False), Status(input_overflow=True)
    for status in (fine, overflow, fine):  # the third finds no room
        take(b"1234", 1, Times, status)
    assert [blocks.get()[2], blocks.get()[2]] == [False, True]
    take(b"1234", 1, Times, fine)
    take(b"1234", 1, Times, fine)
    assert [blocks.get()[2], blocks.get()[2]] == [True, False]


def test_a_blocks_time_is_that_of_its_first_sample() -> None:
    blocks: queue.Queue[tuple[int, int, bool, bytes]] = queue.Queue()
    take = make_callback(blocks, SAMPLE_RATE)
    take(b"1234", 1, Times, Status(input_overflow=False))
    assert time.monotonic_ns() - blocks.get()[0] == pytest.approx(30e6, abs=10e6)
    unknown = type("Unknown", (), {"currentTime": 0.0, "inputBufferAdcTime": 0.0})
    take(bytes(4 * 960), 960, unknown, Status(input_overflow=False))
    assert time.monotonic_ns() - blocks.get()[0] == pytest.approx(20e6, abs=10e6)


def test_another_rate_is_resampled() -> None:
    resample = resampler(44_100, 2)
    source = tones(440, 880, 2)
    time_s = np.arange(2 * 44_100) / 44_100
    slow = (8000 * np.sin(2 * np.pi * np.outer(time_s, (440, 880)))).astype(np.int16)
    parts = [resample(slow[start : start + 882]) for start in range(0, len(slow), 882)]
    sound = np.concatenate(parts)
    assert abs(len(sound) - len(source)) < 100
    peaks = [int(np.abs(np.fft.rfft(channel)).argmax()) for channel in sound[-SAMPLE_RATE:].T]
    assert peaks == [440, 880]


def test_the_servers_inputs_are_listed_and_found_by_name(microphone: PulseMicrophone) -> None:
    assert INPUT in list_sound_inputs().inputs
    (entry,) = (device for device in server_inputs() if device.name == INPUT)
    assert entry == Device(id=f"sound:{INPUT}", kind=DeviceKind.MICROPHONE, name=INPUT)
    for name in (INPUT, f"sound:{INPUT}", "ROOM"):
        assert find_sound_input([], name) == entry
    with pytest.raises(DeviceNotFound):
        find_sound_input([], "no-such-room")
    with closing(SoundSource(entry)) as source:
        source.open()
        assert blocks_of(source, 0.1)


def test_an_unknown_input_is_not_found() -> None:
    absent = Device(id="x", kind=DeviceKind.MICROPHONE, name="Microphone", alsa="hw:CARD=Absent,DEV=0")
    for source in (SoundSource("no-such-input"), SoundSource(absent)):
        with pytest.raises(DeviceNotFound):
            source.open()
        source.close()
        with pytest.raises(DeviceError):
            source.read(0.1)


def test_that_samples_were_lost_is_told_though_the_resampler_keeps_the_first_ones_back() -> None:
    source = SoundSource("another rate", channels=1)
    source._resample = resampler(8_000, 1)
    said: list[bool] = []
    for number in range(200):
        block = source._audio_block(number, number == 0, bytes(4))
        if number == 0:
            assert block is None
        said += [] if block is None else [block.lost]
    assert said[0]
    assert not any(said[1:])
    assert source.overflows == 1


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in place of the kernel's list of cards."""
    monkeypatch.setattr(child_process, "CARDS", tmp_path)
    (tmp_path / "Mixer").symlink_to("card3")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("hw:CARD=Mixer,DEV=1", ("Mixer", 1)),
        ("hw:CARD=Mixer", ("Mixer", 0)),
        ("hw:CARD=Mixer,DEV=", None),
        ("plughw:CARD=Mixer,DEV=1", None),
        ("hw:3,1", None),
        ("MS2109: USB Audio (hw:3,0)", None),
    ],
)
def test_what_a_name_says(name: str, found: tuple[str, int] | None) -> None:
    assert card_and_device(name) == found


def test_the_node_is_that_of_the_number_the_card_has_now(cards: Path) -> None:
    assert pcm_node("hw:CARD=Mixer,DEV=1") == "/dev/snd/pcmC3D1c"
    (cards / "Mixer").unlink()
    (cards / "Mixer").symlink_to("card0")
    assert (card_number("Mixer"), pcm_node("hw:CARD=Mixer,DEV=0")) == ("0", "/dev/snd/pcmC0D0c")


@pytest.mark.usefixtures("cards")
def test_a_card_that_has_gone_has_no_number_and_a_node_that_is_not_there() -> None:
    node = pcm_node("hw:CARD=Gone,DEV=0")
    assert node is not None
    assert not Path(node).exists()
    assert card_number("Gone") is None


def test_what_is_no_card_has_no_node() -> None:
    assert pcm_node("pulse") is None


def test_a_child_that_died_before_it_read_what_it_was_asked_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    child = SoundChild(SoundRequest("nothing", 1, 48_000))
    assert child.wait(10)
    child.close()
    assert (child.status, child.is_deaf) == (0, True)
