"""Audio of real sound servers, PulseAudio and PipeWire: their inputs are found, opened, kept and lost; the child."""

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, call

import numpy as np
import psutil
import pytest

from capture.sound import child_process
from capture.sound import inputs as sound_inputs
from capture.sound import server as sound_server
from capture.sound import source as sound_source
from capture.sound.child import make_callback
from capture.sound.child_process import (
    ServerSource,
    SoundChild,
    SoundFailed,
    SoundInputs,
    SoundRequest,
    card_and_device,
    card_number,
    pcm_node,
)
from capture.sound.inputs import ServerSourceWatcher, find_sound_input, server_inputs
from capture.sound.server import NoServerError, server_sources
from capture.sound.source import SoundSource, resampler
from capture.source import SAMPLE_RATE, AudioBlock
from config.errors import DeviceError, DeviceNotFound
from devices.model.device import Device, DeviceKind
from devices.monitor import holders
from tests.support.errors import because
from tests.support.markers import blocks_of
from tests.support.sound_server import INPUT, PipeWireMicrophone, PulseMicrophone, tones
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("late sound is lost", lane="sound"), pytest.mark.server]

MICROPHONE = "pulse:mic.monitor"


@pytest.fixture(scope="module", params=[PulseMicrophone, PipeWireMicrophone])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulseMicrophone]:
    """Provide a private sound server that goes on, each kind in turn."""
    with request.param(tmp_path_factory.mktemp("sound")) as server:
        yield server


@pytest.fixture
def server(either: PulseMicrophone, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseMicrophone]:
    either.install(monkeypatch)
    yield either
    either.reset()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulseMicrophone]:
    with PulseMicrophone(tmp_path_factory.mktemp("sound")) as server:
        yield server


@pytest.fixture
def pulse(running: PulseMicrophone, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseMicrophone]:
    """Provide a private PulseAudio; PortAudio has its microphone as `room`."""
    running.install(monkeypatch)
    yield running
    running.reset()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseMicrophone]:
    """Provide one that the test may spoil."""
    with PulseMicrophone(tmp_path) as server:
        server.install(monkeypatch)
        yield server


def podium(server: PulseMicrophone) -> str:
    """Add a source that gives the audio played into the microphone; return its module."""
    words = "source_name=podium master=mic.monitor channels=1 source_properties=device.description=Podium"
    return server.load("module-remap-source", *words.split())


def hall(server: PulseMicrophone) -> str:
    """Add a silent microphone, to which the server may move a stream; return its module."""
    return server.load("module-null-sink", "sink_name=hall")


def loudest(blocks: list[AudioBlock]) -> list[int]:
    """Return the loudest frequency of each channel in the last second, in Hz."""
    sound = np.concatenate([block.samples for block in blocks])[-SAMPLE_RATE:]
    return [int(np.abs(np.fft.rfft(channel)).argmax()) for channel in sound.T]


def lost_after(source: SoundSource, cause: Callable[[], object]) -> float:
    """Return the time from `cause` to the loss."""
    cause()
    began = time.monotonic()
    while time.monotonic() < began + 10:
        try:
            source.read(0.1)
        except DeviceError:
            return time.monotonic() - began
    raise TimeoutError("it is still read")


def child_of(source: SoundSource) -> psutil.Process:
    assert source.pid is not None
    return psutil.Process(source.pid)


# What a server gives


def test_each_source_is_listed_by_its_name_and_what_this_computer_plays_comes_last(server: PulseMicrophone) -> None:
    podium(server)
    names = {device.id: device.name for device in server_inputs()}
    assert next(iter(names)) == f"sound:{INPUT}"  # an input of the ALSA configuration still has its name
    assert "sound:pulse" not in names
    assert list(names).index("pulse:podium") < list(names).index(MICROPHONE)
    assert names["pulse:podium"] == "Podium"
    assert names[MICROPHONE].startswith("What this computer plays (")
    assert "onitor of" not in names[MICROPHONE]


def test_the_source_that_was_named_is_opened_and_kept_whichever_is_the_default(server: PulseMicrophone) -> None:
    podium(server)
    hall(server)
    server.control("set-default-source", "hall.monitor")
    with closing(SoundSource(find_sound_input([], MICROPHONE))) as source, server.speak(tones(440, 880, 30)):
        source.open()
        assert loudest(blocks_of(source, 1.5)) == pytest.approx([440, 880], abs=2)
        server.control("set-default-source", "podium")
        server.control("set-default-source", "hall.monitor")
        assert loudest(blocks_of(source, 1.5)) == pytest.approx([440, 880], abs=2)
        assert (source.channels, source.rate, source.overflows) == (2, SAMPLE_RATE, 0)


def test_a_source_of_one_channel_gives_one(server: PulseMicrophone) -> None:
    podium(server)
    with closing(SoundSource("pulse:podium")) as source, server.speak(tones(440, 440, 30)):
        source.open()
        assert source.channels == 1
        assert loudest(blocks_of(source, 1.5)) == [440]
        pid = child_of(source).pid
        assert os.sched_getscheduler(pid) == os.SCHED_OTHER, "the server is no more than that, and has to answer"
        assert source.scheduled == f"nice {os.getpriority(os.PRIO_PROCESS, pid)}"


def test_a_source_that_goes_is_lost_though_the_server_puts_another_in_its_place(server: PulseMicrophone) -> None:
    module = podium(server)
    hall(server)
    with closing(SoundSource("pulse:podium")) as source:
        source.open()
        blocks_of(source, 0.5)
        assert lost_after(source, lambda: server.control("unload-module", module)) < 3
    with pytest.raises(DeviceNotFound, match="podium"):
        source.open()


def test_an_input_that_follows_the_default_is_lost_rather_than_another_is_heard(server: PulseMicrophone) -> None:
    hall(server)
    with closing(SoundSource("pulse")) as source:  # as a name of the user's ALSA configuration may
        source.open()
        blocks_of(source, 0.5)
        assert lost_after(source, lambda: server.control("set-default-source", "hall.monitor")) < 3


def test_the_server_as_a_whole_means_the_source_that_is_its_default_now(server: PulseMicrophone) -> None:
    podium(server)
    server.control("set-default-source", "podium")
    assert find_sound_input([], "pulse").id == "pulse:podium"
    assert find_sound_input([], "PULSE:Podium").name == find_sound_input([], "podium").name == "Podium"


def test_what_comes_and_goes_at_a_server_is_told_and_what_does_not_matter_is_not(server: PulseMicrophone) -> None:
    with followed() as (_, names):
        assert names() == ["mic.monitor"]
        module = hall(server)
        assert names() == ["hall.monitor", "mic.monitor"]
        server.control("set-sink-volume", "mic", "50%")
        server.control("set-sink-volume", "mic", "100%")
        server.control("unload-module", module)
        assert names() == ["mic.monitor"]
        podium(server)
        while (now := names()) == ["mic.monitor"]:  # another one is the default, which is told too
            pass
        assert now == ["podium", "mic.monitor"]


def test_what_a_sink_plays_that_nobody_has_read_yet_begins_without_a_hole(pulse: PulseMicrophone) -> None:
    pulse.load("module-null-sink", "sink_name=quiet", "channels=2")
    with closing(SoundSource("pulse:quiet.monitor")) as source:
        source.open()
        blocks = blocks_of(source, 2.0)
    begins = np.cumsum([0, *(len(block.samples) for block in blocks[:-1])]) / SAMPLE_RATE
    late = np.array([block.timestamp_ns - blocks[0].timestamp_ns for block in blocks]) / 1e9 - begins
    assert late.max() < 0.1, "from there on silence would be put in"


def test_a_source_that_there_is_not_is_not_found_and_the_others_are_named(pulse: PulseMicrophone) -> None:
    with pytest.raises(DeviceNotFound, match="the sound server has no source 'absent'") as raised:
        find_sound_input([], "pulse:absent")
    assert raised.value.hint == f"It has {MICROPHONE}"
    with pytest.raises(DeviceNotFound, match="pulse:absent"):
        SoundSource("pulse:absent").open()


def test_a_source_that_is_suspended_or_unplugged_is_lost(own: PulseMicrophone) -> None:
    for name, cause in ((MICROPHONE, lambda: own.control("suspend-sink", "mic", "1")), (INPUT, own.unplug)):
        with closing(SoundSource(name)) as source:
            source.open()
            blocks_of(source, 0.5)
            assert lost_after(source, cause) < 3
        if name == MICROPHONE:
            own.control("suspend-sink", "mic", "0")


def test_a_server_that_is_started_later_is_found_and_one_that_dies_has_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PulseMicrophone(tmp_path)
    server.install(monkeypatch)
    with followed() as (_, names):
        assert names() == []
        with server, closing(SoundSource(MICROPHONE)) as source:
            assert names() == ["mic.monitor"]
            source.open()
            blocks_of(source, 0.5)
            assert lost_after(source, server.kill) < 3
            assert names() == []


def test_without_a_server_there_is_nothing_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    with pytest.raises(NoServerError, match="no sound server answers"):
        server_sources()
    assert not any(device.id.startswith("pulse:") for device in server_inputs())
    with pytest.raises(DeviceNotFound, match="no sound server answers, so there is no pulse:room"):
        find_sound_input([], "pulse:room")
    assert capfd.readouterr() == ("", "")


def test_without_libpulse_the_message_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pulsectl")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(ctypes, "CDLL", Mock(side_effect=OSError("cannot open shared object file")))
    with pytest.raises(NoServerError, match=r"libpulse is missing \(Debian: libpulse0\)"):
        server_sources()
    assert not sound_server.has_moved("podium")


# Following a server's sources


@contextmanager
def followed() -> Iterator[tuple[ServerSourceWatcher, Callable[[], list[str]]]]:
    """Provide a ServerSourceWatcher, and a function that returns its next list of names."""
    told: queue.SimpleQueue[Sequence[ServerSource]] = queue.SimpleQueue()
    with ServerSourceWatcher(told.put) as watch:
        yield watch, lambda: [source.name for source in told.get(timeout=60)]
    assert watch.join(60)


def test_a_child_that_dies_is_followed_by_another(pulse: PulseMicrophone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_inputs, "_RETRY_S", 0.05)
    with followed() as (watch, names):
        assert names() == ["mic.monitor"]
        assert watch.pid is not None
        os.kill(watch.pid, signal.SIGKILL)
        assert names() == ["mic.monitor"]


def test_a_child_that_cannot_be_started_is_tried_again_and_without_libpulse_nobody_asks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = Mock()
    child.next_message.return_value = SoundFailed("libpulse is missing (Debian: libpulse0)")
    start = Mock(side_effect=[OSError(12, "Cannot allocate memory"), child])
    monkeypatch.setattr(threading, "excepthook", lambda broken: None)
    monkeypatch.setattr(sound_inputs, "_RETRY_S", 0.01)
    monkeypatch.setattr(sound_inputs, "SoundChild", start)
    with ServerSourceWatcher(lambda sources: pytest.fail("there are none")) as watch:
        assert watch.join(60)
    assert start.call_args_list == [call(SoundRequest(task="follow"))] * 2


# Reading


def test_each_tone_arrives_in_its_channel_with_its_time(pulse: PulseMicrophone) -> None:
    with closing(SoundSource(INPUT)) as source, pulse.speak(tones(440, 880, 30)):
        source.open()
        blocks_of(source, 1)
        blocks = blocks_of(source, 1)
        assert loudest(blocks) == pytest.approx([440, 880], abs=5), "a starved sound server leaves a gap"
        assert (str(blocks[0].samples.dtype), source.channels, source.overflows) == ("int16", 2, 0)
        assert {block.samples.shape for block in blocks} == {(960, 2)}
        stamps = np.array([block.timestamp_ns for block in blocks]) / 1e9
        expected = stamps[0] + np.arange(len(blocks)) * 0.02
        assert float(np.median(np.abs(stamps - expected))) < 0.02
        assert 0 < time.monotonic() - stamps[-1] < 0.5


@contextmanager
def hung() -> Iterator[tuple[SoundSource, psutil.Process]]:
    """Open the input, and suspend its child."""
    with closing(SoundSource(INPUT)) as source:
        source.open()
        blocks_of(source, 0.5)
        child = child_of(source)
        child.suspend()
        while source.read(0) is not None:
            pass
        yield source, child


@pytest.mark.usefixtures("pulse")
def test_an_input_that_is_silent_for_a_second_is_lost_and_no_call_waits_longer_than_it_is_told() -> None:
    with hung() as (source, child):
        began = time.monotonic()
        assert source.read(0.1) is None
        assert 0.09 < time.monotonic() - began < 0.8
        assert 0.5 < lost_after(source, lambda: None) < 4.5
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 5
        wait_for(lambda: not child.is_running())


@pytest.mark.usefixtures("pulse")
def test_an_input_that_nobody_asked_for_a_while_is_not_lost_by_that_and_opened_again_it_begins_anew() -> None:
    with hung() as (source, child):
        time.sleep(1.3)  # as on a PC that stands still: neither has had its turn
        assert source.read(0.1) is None
        child.resume()
        blocks_of(source, 0.5)
        source.close()
        reopened_ns = time.monotonic_ns()
        source.open()
        block = source.read(0.5)
        assert block is not None
        assert block.timestamp_ns > reopened_ns


def test_an_unknown_input_is_not_found() -> None:
    absent = Device(id="x", kind=DeviceKind.MICROPHONE, name="Microphone", alsa="hw:CARD=Absent,DEV=0")
    source = SoundSource(absent)
    with pytest.raises(DeviceNotFound):
        source.open()
    source.close()
    with pytest.raises(DeviceError):
        source.read(0.1)


def test_another_rate_is_resampled() -> None:
    resample = resampler(44_100, 2)
    time_s = np.arange(2 * 44_100) / 44_100
    slow = (8000 * np.sin(2 * np.pi * np.outer(time_s, (440, 880)))).astype(np.int16)
    sound = np.concatenate([resample(slow[start : start + 882]) for start in range(0, len(slow), 882)])
    assert abs(len(sound) - 2 * SAMPLE_RATE) < 100
    assert [int(np.abs(np.fft.rfft(channel)).argmax()) for channel in sound[-SAMPLE_RATE:].T] == [440, 880]


# The child


def test_a_child_that_dies_is_a_device_that_is_lost_without_waiting_for_more(
    pulse: PulseMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.sound.child_process._SILENCE_S", 60.0)
    with closing(SoundSource(INPUT)) as source:
        source.open()
        blocks_of(source, 0.2)
        lost_after(source, child_of(source).kill)
    with pytest.raises(DeviceError, check=because("lost")):
        source.read(0.1)


def test_a_child_ends_with_its_parent_however_that_ends(own: PulseMicrophone) -> None:
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
        own.unplug()  # then it is not a broken pipe that ends it
        parent.send_signal(signal.SIGKILL)
        child.wait(60)


def test_a_child_inherits_no_secret_and_no_file(pulse: PulseMicrophone, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_child_that_died_before_it_read_what_it_was_asked_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    child = SoundChild(SoundRequest("nothing", 1, 48_000))
    assert child.wait(10)
    child.close()
    assert (child.status, child.is_deaf) == (0, True)


TIMES = SimpleNamespace(currentTime=10.03, inputBufferAdcTime=10.0)
"""PortAudio's times of a block whose first sample is 30 ms old."""
FINE, OVERFLOW = SimpleNamespace(input_overflow=False), SimpleNamespace(input_overflow=True)


def test_lost_samples_are_told_with_the_next_block_that_gets_through() -> None:
    blocks: queue.Queue[tuple[int, int, bool, bytes]] = queue.Queue(2)
    take = make_callback(blocks, SAMPLE_RATE)
    for status in (FINE, OVERFLOW, FINE):  # the third finds no room
        take(b"1234", 1, TIMES, status)
    assert [blocks.get()[2], blocks.get()[2]] == [False, True]
    take(b"1234", 1, TIMES, FINE)
    take(b"1234", 1, TIMES, FINE)
    assert [blocks.get()[2], blocks.get()[2]] == [True, False]


def test_a_blocks_time_is_that_of_its_first_sample() -> None:
    blocks: queue.Queue[tuple[int, int, bool, bytes]] = queue.Queue()
    take = make_callback(blocks, SAMPLE_RATE)
    unknown = SimpleNamespace(currentTime=0.0, inputBufferAdcTime=0.0)
    for times, frames, old_ns in ((TIMES, 1, 30_000_000), (unknown, 960, 20_000_000)):
        before_ns = time.monotonic_ns()
        take(bytes(4 * frames), frames, times, FINE)
        assert before_ns <= blocks.get()[0] + old_ns <= time.monotonic_ns()


# Cards


def test_the_node_is_that_of_the_number_the_card_has_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "CARDS", tmp_path)
    for number in ("3", "0"):
        (tmp_path / "Mixer").unlink(missing_ok=True)
        (tmp_path / "Mixer").symlink_to(f"card{number}")
        assert (card_number("Mixer"), pcm_node("hw:CARD=Mixer,DEV=1")) == (number, f"/dev/snd/pcmC{number}D1c")
    gone = pcm_node("hw:CARD=Gone,DEV=0")
    assert gone is not None
    assert not Path(gone).exists()
    assert (card_number("Gone"), pcm_node("pulse")) == (None, None)
    assert card_and_device("hw:CARD=Mixer") == ("Mixer", 0)
    assert card_and_device("plughw:CARD=Mixer,DEV=1") is None


CARD = ServerSource("alsa_input.usb-Mic-00", "Mic", 2, alsa="hw:CARD=Mic,DEV=0")


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a server's answer: this PC has no card."""
    answer = SoundInputs([], [CARD, ServerSource("out.monitor", "Monitor of Out", 2, of_sink="Out")])
    monkeypatch.setattr(sound_inputs, "list_sound_inputs", lambda timeout_s=5.0: answer)
    monkeypatch.setattr(sound_source, "source_of_card", {CARD.alsa: CARD}.get)


@pytest.mark.usefixtures("listing")
def test_a_card_is_listed_as_the_device_it_is_and_can_be_named_as_the_servers() -> None:
    assert [device.id for device in server_inputs()] == ["pulse:out.monitor"]
    assert find_sound_input([], f"pulse:{CARD.name}").name == "Mic"
    played = find_sound_input([], "pulse:out.monitor")
    assert (played.alsa, played.node, played.name) == (None, None, "What this computer plays (Out)")


@pytest.mark.usefixtures("listing")
def test_a_card_that_the_server_holds_is_said_to_be_had_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_source, "pcm_node", lambda _: "/dev/null")
    monkeypatch.setattr(holders, "holders", lambda node: [holders.Holder(7, "pipewire")])
    error = sound_source.open_error("Mic", CARD.alsa or "", SoundFailed("Device unavailable"))
    assert (error.why, error.message) == ("busy", "Mic (/dev/null) is used by pid 7 (pipewire)")
    assert f"--audio pulse:{CARD.name}" in str(error.hint)
