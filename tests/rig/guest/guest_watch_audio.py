"""What can be wrong with the sound of a real driver: each found in time, logged, and over when it is over."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from capture.detectors.source_health import Patience, SourceHealth
from capture.sound.inputs import list_sound_inputs
from capture.sound.source import SoundSource
from capture.source import SAMPLE_RATE, AudioBlock, AudioSource
from capture.sources.worker import AudioWorker, DeviceLocator, DeviceSupervision, SourceWorker
from config.errors import DeviceError
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.host.clock import SystemClock
from devices.model.device import Device, Health, HealthState
from devices.monitor.snapshot import list_devices
from tests.rig.rig import RigDevice
from tests.support.errors import because
from tests.support.health import Recorded
from tests.support.markers import blocks_of
from tests.support.waiting import wait_for
from tests.support.workers import judged_sound

CLOCK = SystemClock()
PATIENCE = Patience(frozen_s=3, black_s=5, silence_s=1)


@pytest.fixture(autouse=True)
def _system_alsa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sound children read the system's ALSA configuration, whatever other tests use."""
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)


@dataclass(frozen=True)
class Judged:
    """A source of sound, its worker, and what judges it."""

    source: SoundSource
    worker: AudioWorker
    health: SourceHealth[AudioBlock, None]


@pytest.fixture
def recorded() -> Recorded:
    return Recorded(CLOCK)


def sound_of(rig: RigDevice) -> Device:
    """Return the sound of a rig device that is plugged in."""
    rig.wait_for_audio()
    rig.wait_for_video()  # a sound is known by its picture
    return next(device for device in list_devices() if device.alsa and device.port == f"1-{(rig.port or 0) + 1}")


@pytest.fixture
def judged(stick: RigDevice, recorded: Recorded) -> Iterator[Judged]:
    """Provide the stick's sound, judged; not open yet."""
    stick.plug(1)
    device = sound_of(stick)
    source = SoundSource(device)
    tracker = HealthTracker(device.id, device.name, record=recorded, clock=CLOCK)
    worker, health = judged_sound(source, device, PATIENCE, tracker)
    with closing(worker):
        yield Judged(source, worker, health)


def read_until(source: AudioSource | AudioWorker, condition: Callable[[], object], within_s: float) -> float:
    """Read until `condition` holds; return how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + within_s
        source.read(0.1)
    return time.monotonic() - began


def heard(source: str) -> list[int] | None:
    """Return the loudest frequencies of a second of a source of the sound server, None where it is lost meanwhile."""
    with closing(SoundSource(source)) as opened, suppress(DeviceError):
        opened.open()
        return peaks(blocks_of(opened, 1.0))
    return None


def peaks(blocks: list[AudioBlock]) -> list[int]:
    """Return the loudest frequency of each channel, in Hz; sorted, for lost packets swap the channels."""
    sound = np.concatenate([block.samples for block in blocks])[-SAMPLE_RATE:]
    return sorted(int(np.abs(np.fft.rfft(channel)).argmax()) for channel in sound.T)


def found(recorded: Recorded, fault: Fault, kind: LogKind = LogKind.DEGRADED) -> list[HealthLine]:
    return [line for line in recorded.of(kind) if line.detail["fault"] == fault]


def test_each_fault_of_the_sound_is_found_in_time(stick: RigDevice, judged: Judged, recorded: Recorded) -> None:
    judged.worker.open()
    (opened,) = recorded.of(LogKind.OPENED)
    # The descriptors claim 96 kHz mono; what the hardware gives is what the driver has agreed with it.
    assert (opened.detail["rate"], opened.detail["channels"]) == (48_000, 2)
    agreed = Path("/proc/asound/MS2109/pcm0c/sub0/hw_params").read_text()
    assert "channels: 2" in agreed
    assert "rate: 48000 " in agreed
    blocks_of(judged.worker, 1)  # both channels are heard
    assert judged.health.now == Health()
    measured: dict[str, float] = {}
    began: dict[str, datetime] = {}  # two faults of one sound are both timed from its beginning
    for sound, fault, state, reason, least_s, most_s in (
        ("silence", Fault.SILENCE, HealthState.SILENT, "exactly nothing for 1 s: muted or not plugged in", 0.5, 3),
        ("bad-cable", Fault.HUM, HealthState.DEGRADED, "hums with the mains (50 Hz and multiples, -", 4.5, 7),
        ("bad-cable", Fault.DEAD_CHANNEL, HealthState.DEGRADED, "carries nothing: check its cable", 4.5, 7),
        ("clipping", Fault.CLIPPING, HealthState.DEGRADED, "is too loud: samples are cut off", 2, 5),
    ):
        if sound not in began:
            began[sound] = CLOCK.now()
            stick.set("audio.sound", sound)
        read_until(judged.worker, partial(found, recorded, fault), 15)
        assert judged.health.now.state is state
        (line,) = found(recorded, fault)
        took = (line.at - began[sound]).total_seconds()
        measured[fault] = round(took, 2)
        assert least_s <= took < most_s, fault
        assert reason in line.reason
        assert (line.device, line.name) == ("534d:2109@1-2+sound", "MS2109 HDMI capture stick (sound)")
        assert line.level is (LogLevel.ERROR if state is HealthState.SILENT else LogLevel.WARN)
    Path(os.environ["ARTIFACTS"], "sound-faults.json").write_text(json.dumps(measured))
    ended = [line.detail["fault"] for line in recorded.of(LogKind.RECOVERED)]
    assert {Fault.SILENCE, Fault.DEAD_CHANNEL} <= set(ended)
    judged.worker.close()
    (closed,) = recorded.of(LogKind.CLOSED)
    assert closed.detail["peak_dbfs"] == [0.0, 0.0]


def test_sound_that_is_unplugged_is_lost_in_time_and_opens_again_when_it_is_back(
    stick: RigDevice, judged: Judged, recorded: Recorded
) -> None:
    judged.worker.open()
    blocks_of(judged.worker, 0.5)
    began = time.monotonic()
    stick.unplug()
    read_until(judged.worker, lambda: judged.worker.outage, 10)
    assert time.monotonic() - began < 1.5
    (line,) = found(recorded, Fault.LOST)
    assert (line.level, line.reason) == (LogLevel.ERROR, judged.health.now.reason)
    assert "was lost" in line.reason
    assert judged.health.now.state is HealthState.LOST
    assert found(recorded, Fault.NO_DATA) == [], "its process is ended before it has been silent for 0.7 s"
    began = time.monotonic()
    stick.plug(1)
    judged.source.relocate(sound_of(stick))
    worker = SourceWorker(judged.source, CLOCK, supervision=DeviceSupervision(DeviceLocator(), judged.health))
    worker.open()
    read_until(worker, lambda: judged.health.now.state is HealthState.OK, 5)
    assert time.monotonic() - began < 5
    (over,) = found(recorded, Fault.LOST, LogKind.RECOVERED)
    assert (over.device, over.level, over.reason) == (line.device, LogLevel.INFO, line.reason)
    assert over.detail["lasted_s"] == pytest.approx((over.at - line.at).total_seconds(), abs=0.1)
    assert peaks(blocks_of(worker, 1)) == [440, 880]
    worker.close()
    assert judged.health.now == Health()
    assert len(recorded.of(LogKind.OPENED)) == 2


def test_a_microphone_that_is_plugged_in_opens_and_takes_nothing_from_one_that_runs(stick: RigDevice) -> None:
    # This process has looked once, and must not stay with what it saw.
    list_sound_inputs()
    stick.plug(1)
    with RigDevice("hdmi-stick") as other, closing(SoundSource(sound_of(stick))) as first:
        first.open()
        pid = first.pid
        blocks_of(first, 0.2)
        other.set("audio.sound", "silence")
        other.plug(4)
        with closing(SoundSource(sound_of(other))) as second:
            second.open()
            assert second.pid != pid
            assert not np.concatenate([block.samples for block in blocks_of(second, 0.2)]).any()
            assert peaks(blocks_of(first, 1)) == [440, 880]
            assert first.pid == pid


def test_sound_that_another_program_has_is_busy_and_names_it(
    stick: RigDevice, judged: Judged, recorded: Recorded
) -> None:
    words = ["arecord", "-q", "-D", "hw:CARD=MS2109,DEV=0", "-f", "S16_LE", "-r", "48000", "-c", "2", "-t", "raw"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.read(4096)
        began = CLOCK.now()
        with pytest.raises(DeviceError, check=because("busy")):
            judged.worker.open()
        holder.kill()
    (refused,) = recorded.of(LogKind.REFUSED)
    assert f"is used by pid {holder.pid} (arecord)" in refused.reason
    assert (judged.health.now.state, judged.health.now.reason) == (HealthState.BUSY, refused.reason)
    (line,) = found(recorded, Fault.BUSY)
    assert (line.device, line.level, line.reason) == (refused.device, LogLevel.WARN, refused.reason)
    assert (line.at - began).total_seconds() < 3


def test_sound_that_the_sound_server_has_is_taken_from_there(
    stick: RigDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick.plug(1)
    device = sound_of(stick)
    socket = tmp_path / "pulse.socket"
    words = [
        "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
        "-L", f"module-alsa-source device={device.alsa} source_name=stick rate=48000 channels=2",
        "-L", f"module-native-protocol-unix auth-anonymous=1 socket={socket}",
    ]  # fmt: skip
    monkeypatch.setenv("PULSE_SERVER", f"unix:{socket}")
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as server, ExitStack() as ending:
        ending.callback(server.kill)  # else what fails here would wait for it
        wait_for(socket.exists)
        with pytest.raises(
            DeviceError, match=rf"is used by pid {server.pid} \(pulseaudio\)", check=because("busy")
        ) as raised:
            SoundSource(device).open()
        assert raised.value.hint == "The sound server has it, and shares it: --audio pulse:stick"
        # The server of a machine that is emulated loses samples now and then, and tells nobody, or is silent for long.
        wait_for(lambda: heard("pulse:stick") == [440, 880], what="a second of both tones")
