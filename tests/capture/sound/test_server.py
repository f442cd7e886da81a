"""Each source of a real sound server, PulseAudio and PipeWire, is an input: found, opened, kept, lost."""

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from capture.sound import inputs as sound_inputs
from capture.sound import server as sound_server
from capture.sound import source as sound_source
from capture.sound.child_process import ServerSource, SoundFailed, SoundInputs, SoundRequest
from capture.sound.inputs import ServerSourceWatcher, find_sound_input, list_sound_inputs, server_inputs
from capture.sound.server import NoServerError, server_sources
from capture.sound.source import SoundSource
from capture.source import SAMPLE_RATE, AudioBlock
from config.errors import DeviceError, DeviceNotFound
from devices.model.device import Device
from devices.monitor import holders
from tests.support.markers import blocks_of
from tests.support.quota import full_load
from tests.support.sound_server import INPUT, PipeWireMicrophone, PulseMicrophone, tones

pytestmark = [pytest.mark.alone("late sound is lost", lane="sound"), pytest.mark.server]

MICROPHONE = "pulse:mic.monitor"


@pytest.fixture(params=[PulseMicrophone, PipeWireMicrophone])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PulseMicrophone]:
    """Provide a private sound server, each kind in turn."""
    with request.param(tmp_path) as server:
        server.install(monkeypatch)
        yield server


@pytest.fixture
def pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseMicrophone]:
    with PulseMicrophone(tmp_path) as server:
        server.install(monkeypatch)
        yield server


def podium(server: PulseMicrophone) -> str:
    """Add a source that gives the audio played into the microphone; return its module."""
    words = "source_name=podium master=mic.monitor channels=1 source_properties=device.description=Podium"
    return server.control("load-module", "module-remap-source", *words.split())


def hall(server: PulseMicrophone) -> str:
    """Add a silent microphone, to which the server may move a stream; return its module."""
    return server.control("load-module", "module-null-sink", "sink_name=hall")


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
        assert loudest(blocks_of(source, 2)) == pytest.approx([440, 880], abs=2)
        server.control("set-default-source", "podium")
        server.control("set-default-source", "hall.monitor")
        assert loudest(blocks_of(source, 2)) == pytest.approx([440, 880], abs=2)
        assert (source.channels, source.rate, source.overflows) == (2, SAMPLE_RATE, 0)


def test_a_source_of_one_channel_gives_one(server: PulseMicrophone) -> None:
    podium(server)
    with closing(SoundSource("pulse:podium")) as source, server.speak(tones(440, 440, 30)):
        source.open()
        assert source.channels == 1
        assert loudest(blocks_of(source, 2)) == [440]
        pid = source.pid
        assert pid is not None
        assert os.sched_getscheduler(pid) == os.SCHED_OTHER, "the server is no more than that, and has to answer"
        assert source.scheduled == f"nice {os.getpriority(os.PRIO_PROCESS, pid)}"


def test_what_a_sink_plays_that_nobody_has_read_yet_begins_without_a_hole(pulse: PulseMicrophone) -> None:
    pulse.control("load-module", "module-null-sink", "sink_name=quiet", "channels=2")
    for _ in range(2):
        with closing(SoundSource("pulse:quiet.monitor")) as source:
            source.open()
            blocks = blocks_of(source, 2.0)
        begins = np.cumsum([0, *(len(block.samples) for block in blocks[:-1])]) / SAMPLE_RATE
        late = np.array([block.timestamp_ns - blocks[0].timestamp_ns for block in blocks]) / 1e9 - begins
        assert late.max() < 0.1, "from there on silence would be put in"


def test_two_sources_begin_together_where_others_want_all_of_the_processor(pulse: PulseMicrophone) -> None:
    hall(pulse)
    with full_load():
        for _ in range(3):
            with closing(SoundSource(MICROPHONE)) as here, closing(SoundSource("pulse:hall.monitor")) as there:
                with ThreadPoolExecutor() as pool:
                    list(pool.map(SoundSource.open, (here, there)))
                assert blocks_of(here, 0.5)
                assert blocks_of(there, 0.5)


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
    server.control("set-default-source", "mic.monitor")
    with closing(SoundSource("pulse")) as source:  # as a name of the user's ALSA configuration may
        source.open()
        blocks_of(source, 0.5)
        assert lost_after(source, lambda: server.control("set-default-source", "hall.monitor")) < 3


def test_a_source_that_is_suspended_or_whose_server_dies_is_lost(pulse: PulseMicrophone) -> None:
    for cause in (lambda: pulse.control("suspend-sink", "mic", "1"), pulse.kill):
        with closing(SoundSource(MICROPHONE)) as source:
            source.open()
            blocks_of(source, 0.5)
            assert lost_after(source, cause) < 3
        if cause != pulse.kill:
            pulse.control("suspend-sink", "mic", "0")


def test_the_server_as_a_whole_means_the_source_that_is_its_default_now(server: PulseMicrophone) -> None:
    podium(server)
    for name in ("podium", "mic.monitor"):
        server.control("set-default-source", name)
        assert find_sound_input([], "pulse").id == f"pulse:{name}"
    assert find_sound_input([], "PULSE:Podium").name == find_sound_input([], "podium").name == "Podium"


def test_a_source_that_there_is_not_is_not_found_and_the_others_are_named(pulse: PulseMicrophone) -> None:
    with pytest.raises(DeviceNotFound, match="the sound server has no source 'absent'") as raised:
        find_sound_input([], "pulse:absent")
    assert raised.value.hint == f"It has {MICROPHONE}"
    with pytest.raises(DeviceNotFound, match="pulse:absent"):
        SoundSource("pulse:absent").open()


def test_without_a_server_there_is_nothing_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    with pytest.raises(NoServerError, match="no sound server answers"):
        server_sources()
    assert list_sound_inputs().sources == []
    assert not any(device.id.startswith("pulse:") for device in server_inputs())
    with pytest.raises(DeviceNotFound, match="no sound server answers, so there is no pulse:room"):
        find_sound_input([], "pulse:room")
    assert capfd.readouterr() == ("", "")


def test_without_libpulse_the_message_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pulsectl")]:
        monkeypatch.delitem(sys.modules, name)

    def missing(name: str, *rest: object, **options: object) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(NoServerError, match=r"libpulse is missing \(Debian: libpulse0\)"):
        server_sources()
    assert not sound_server.has_moved("podium")


# As they change


@contextmanager
def followed() -> Iterator[tuple[ServerSourceWatcher, Callable[[], list[str]]]]:
    """Provide a ServerSourceWatcher, and a function that returns its next list of names."""
    told: queue.SimpleQueue[Sequence[ServerSource]] = queue.SimpleQueue()
    with ServerSourceWatcher(told.put) as watch:
        yield watch, lambda: [source.name for source in told.get(timeout=60)]
    assert watch.join(60)


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


def test_a_server_that_is_started_later_is_found_and_one_that_dies_has_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PulseMicrophone(tmp_path)
    server.install(monkeypatch)
    with followed() as (_, names):
        assert names() == []
        with server:
            assert names() == ["mic.monitor"]
            server.kill()
            assert names() == []


def test_a_child_that_dies_is_followed_by_another(pulse: PulseMicrophone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_inputs, "_RETRY_S", 0.05)
    with followed() as (watch, names):
        assert names() == ["mic.monitor"]
        assert watch.pid is not None
        os.kill(watch.pid, signal.SIGKILL)
        assert names() == ["mic.monitor"]


class WithoutLibpulse:
    """A child without libpulse, which no later child can help."""

    def next_message(self) -> SoundFailed:
        return SoundFailed("libpulse is missing (Debian: libpulse0)")

    def close(self) -> None: ...

    def close_input(self) -> None: ...


def test_without_libpulse_nothing_is_told_and_nobody_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def start(what: object) -> WithoutLibpulse:
        asked.append(what)
        return WithoutLibpulse()

    monkeypatch.setattr(sound_inputs, "SoundChild", start)
    with ServerSourceWatcher(lambda sources: pytest.fail("there are none")) as watch:
        assert watch.join(60)
    assert asked == [SoundRequest(task="follow")]


def test_a_child_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []

    def start(_what: object) -> WithoutLibpulse:
        if not reported:
            raise OSError(12, "Cannot allocate memory")
        return WithoutLibpulse()

    monkeypatch.setattr(threading, "excepthook", lambda broken: reported.append(broken.exc_value))
    monkeypatch.setattr(sound_inputs, "_RETRY_S", 0.01)
    monkeypatch.setattr(sound_inputs, "SoundChild", start)
    with ServerSourceWatcher(lambda sources: pytest.fail("there are none")) as watch:
        assert watch.join(60)
    assert [repr(error) for error in reported] == ["OSError(12, 'Cannot allocate memory')"]


# Sources that are cards of this PC: it has none, so the server's answer is given


CARD = ServerSource("alsa_input.usb-Mic-00", "Mic", 2, alsa="hw:CARD=Mic,DEV=0")
PLAYED = ServerSource("out.monitor", "Monitor of Out", 2, of_sink="Out")


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = SoundInputs([], [CARD, PLAYED])
    monkeypatch.setattr(sound_inputs, "list_sound_inputs", lambda timeout_s=5.0: answer)
    monkeypatch.setattr(sound_source, "source_of_card", {CARD.alsa: CARD}.get)


@pytest.mark.usefixtures("listing")
def test_a_card_is_listed_as_the_device_it_is_and_can_be_named_as_the_servers() -> None:
    assert [device.id for device in server_inputs()] == ["pulse:out.monitor"]
    assert find_sound_input([], f"pulse:{CARD.name}").name == "Mic"


@pytest.mark.usefixtures("listing")
def test_a_card_that_the_server_holds_is_said_to_be_had_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_source, "pcm_node", lambda _: "/dev/null")
    for command, hint in (
        ("pulseaudio", f"The sound server has it, and shares it: --audio pulse:{CARD.name}"),
        ("pipewire", f"The sound server has it, and shares it: --audio pulse:{CARD.name}"),
        ("arecord", "Close that program, or name another device."),
    ):
        holding = [holders.Holder(7, command)]
        monkeypatch.setattr(holders, "holders", lambda node, holding=holding: holding)
        error: DeviceError = sound_source.open_error("Mic", CARD.alsa or "", SoundFailed("Device unavailable"))
        assert error.why == "busy"
        assert error.message == f"Mic (/dev/null) is used by pid 7 ({command})"
        assert error.hint == hint


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"alsa.card": "3", "alsa.device": "1"}, "hw:CARD=Mic,DEV=1"),
        ({"api.alsa.pcm.card": "3", "api.alsa.pcm.device": "1"}, "hw:CARD=Mic,DEV=1"),
        ({"alsa.card": "3", "alsa.device": "0"}, None),  # it plays only
        ({"alsa.card": "9"}, None),
        ({}, None),
    ],
)
def test_which_card_a_source_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, properties: dict[str, str], name: str | None
) -> None:
    (tmp_path / "card3" / "pcm1c").mkdir(parents=True)
    (tmp_path / "card3" / "id").write_text("Mic\n")
    monkeypatch.setattr(sound_server, "_PROC", tmp_path)
    assert sound_server._alsa_name(properties) == name


def test_a_device_of_the_server_has_no_alsa_name(listing: None) -> None:
    device: Device = find_sound_input([], "pulse:out.monitor")
    assert (device.alsa, device.node, device.name) == (None, None, "What this computer plays (Out)")
