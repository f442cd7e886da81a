"""Messages of the kernel reach the lines of the devices they are about, and never too many of them."""

import pytest

from devices.health.log_line import PC, LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.kernel.message_log import KernelMessage, KernelMessageWriter, is_at_or_below
from devices.model.device import Device, DeviceKind
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock

CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video0")
STICK = Device(id="534d:2109@1-4.1", kind=DeviceKind.CAPTURE_CARD, name="Stick", port="1-4.1", node="/dev/video2")
STICK_SOUND = Device(
    id="534d:2109@1-4.1+sound", kind=DeviceKind.MICROPHONE, name="Stick (sound)", port="1-4.1", alsa="hw:CARD=S,DEV=0"
)
ELSEWHERE = Device(id="0bda:5411:B", kind=DeviceKind.MICROPHONE, name="Mic", port="3-1", alsa="hw:CARD=M,DEV=0")
BUILT_IN = Device(id="platform-vivid.0", kind=DeviceKind.CAMERA, name="vivid", node="/dev/video9")
ALL = [STICK_SOUND, CAMERA, STICK, ELSEWHERE, BUILT_IN]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def recorded(clock: SimulatedClock) -> Recorded:
    return Recorded(clock)


@pytest.fixture
def recorder(clock: SimulatedClock, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> KernelMessageWriter:
    buses = {"0000:00:14.0": {"1", "2"}, "0000:05:00.3": {"3"}}
    monkeypatch.setattr("devices.kernel.message_log.PER_MINUTE", 3)
    monkeypatch.setattr("devices.kernel.message_log.buses_of", lambda name: buses.get(name, set()))
    recorder = KernelMessageWriter(recorded, clock)
    recorder.observe(ALL)
    return recorder


def said(text: str, level: int = 3, device: str = "") -> KernelMessage:
    return KernelMessage(level, 12.5, text, device)


def pass_seconds(clock: SimulatedClock, seconds: float) -> None:
    clock.advance_to(clock.now_ns() + int(seconds * NANOSECONDS))


def test_a_message_is_a_line_of_the_device_at_its_port(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    recorder.take(said("usb 1-2: reset high-speed USB device number 5 using xhci_hcd", 6))
    (line,) = recorded.lines
    assert (line.device, line.name, line.kind, line.level) == (CAMERA.id, "Webcam", LogKind.KERNEL, LogLevel.WARN)
    assert line.reason == "usb 1-2: reset high-speed USB device number 5 using xhci_hcd"
    assert line.detail["topic"] == "reset"
    assert line.detail["kernel_s"] == 12.5
    assert line.detail["port"] == "1-2"
    assert "cable" in str(line.detail["advice"])


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        (
            "usb 1-4: reset high-speed USB device number 3 using xhci_hcd",
            [STICK],
        ),  # the hub it is in; once for the plug
        ("usb 1-4-port1: over-current condition", [STICK]),
        ("usb 1-4.1: cannot submit urb 0, error -32: stalled", [STICK_SOUND]),
        ("xhci_hcd 0000:00:14.0: HC died; cleaning up", [CAMERA, STICK]),
        ("xhci_hcd 0000:05:00.3: HC died; cleaning up", [ELSEWHERE]),
        ("xhci_hcd 0000:09:00.0: HC died; cleaning up", []),
        ("usb usb1: root hub lost power or was reset", [CAMERA, STICK]),
        ("usb 1-20: reset low-speed USB device number 9 using xhci_hcd", []),  # a keyboard
        ("usb 1-20: words that no table has", []),
    ],
)
def test_a_message_reaches_what_is_at_the_port_or_below(
    recorder: KernelMessageWriter, recorded: Recorded, text: str, devices: list[Device]
) -> None:
    recorder.take(said(text))
    assert sorted(line.device for line in recorded.lines) == sorted(device.id for device in devices)


def test_a_port_that_keeps_a_device_away_has_lines_of_its_own(
    recorder: KernelMessageWriter, recorded: Recorded
) -> None:
    recorder.take(said("usb usb1-port7: unable to enumerate USB device"))
    assert [(line.device, line.level) for line in recorded.lines] == [("1-7", LogLevel.ERROR)]


def test_what_is_said_of_a_device_that_just_left_is_still_its_own(
    recorder: KernelMessageWriter, recorded: Recorded, clock: SimulatedClock
) -> None:
    recorder.observe([STICK])
    pass_seconds(clock, 30)
    recorder.take(said("usb 1-2: device descriptor read/64, error -71"))
    assert [line.device for line in recorded.lines] == [CAMERA.id]
    recorder.observe([STICK, ELSEWHERE])
    pass_seconds(clock, 40)
    recorder.take(said("usb 1-2: device descriptor read/64, error -71"))
    assert recorded.lines[-1].device == "1-2"


def test_a_port_is_of_what_is_plugged_in_now(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    successor = Device(id="1e4e:7016:C", kind=DeviceKind.CAMERA, name="Other", port="1-2", node="/dev/video4")
    recorder.observe([successor])
    recorder.take(said("usb 1-2: reset high-speed USB device number 5 using xhci_hcd"))
    assert [line.device for line in recorded.lines] == [successor.id]


def test_the_pcs_troubles_are_lines_of_the_pc(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    recorder.take(said("Out of memory: Killed process 4711 (firefox) total-vm:1kB"))
    assert [(line.device, line.level) for line in recorded.lines] == [(PC, LogLevel.ERROR)]


def test_a_flood_is_a_few_lines_and_then_a_count(
    recorder: KernelMessageWriter, recorded: Recorded, clock: SimulatedClock
) -> None:
    flood = said("uvcvideo 1-2:1.1: Non-zero status (-71) in video completion handler.", 4)
    for _ in range(1000):
        recorder.take(flood)
    recorder.take(said("usb usb1-port2: over-current condition"))
    recorder.take(said("usb 3-1: reset full-speed USB device number 2 using xhci_hcd"))
    assert [line.device for line in recorded.lines] == [CAMERA.id] * 3 + [ELSEWHERE.id]
    assert recorder.flush() == pytest.approx(60.0)
    assert len(recorded.lines) == 4
    pass_seconds(clock, 60)
    assert recorder.flush() is None
    count = recorded.lines[-1]
    assert (count.device, count.level, count.detail["left_out"]) == (CAMERA.id, LogLevel.ERROR, 998)
    assert count.reason.endswith("the last: usb usb1-port2: over-current condition")
    recorder.take(flood)
    assert len(recorded.lines) == 6


def test_what_was_only_counted_is_told_at_the_end_and_by_the_next_message(
    recorder: KernelMessageWriter, recorded: Recorded, clock: SimulatedClock
) -> None:
    flood = said("usb 1-2: device descriptor read/64, error -71")
    for _ in range(5):
        recorder.take(flood)
    pass_seconds(clock, 61)
    recorder.take(flood)
    assert [line.detail.get("left_out") for line in recorded.lines] == [None, None, None, 2, None]
    for _ in range(3):
        recorder.take(flood)
    recorder.finish()
    assert recorded.lines[-1].detail["left_out"] == 1


def test_a_port_is_below_its_hub_and_its_root() -> None:
    assert is_at_or_below("1-2.3", "1-2")
    assert is_at_or_below("1-2.3", "1-2.3")
    assert is_at_or_below("1-2.3", "1-0")
    assert not is_at_or_below("1-23", "1-2")
    assert not is_at_or_below("11-2", "1-0")
    assert not is_at_or_below("1-2", "1-2.3")
    assert not is_at_or_below("", "1-2")
