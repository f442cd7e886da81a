"""What the rig promises, checked against the real kernel drivers and udev."""

import itertools
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import av
import av.container
import av.stream
import numpy as np
import numpy.typing as npt
import pytest
import pyudev

from tests.rig import pictures
from tests.rig.rig import RigDevice

ENODEV, EIO, EINVAL = 19, 5, 22
NONBLOCK = {"fflags": "4"}  # AVFMT_FLAG_NONBLOCK: without it a stalled camera blocks the reader for good
SMALL = {"input_format": "mjpeg", "video_size": "320x240", "framerate": "15"} | NONBLOCK


@pytest.fixture(autouse=True, scope="module")
def _alsa() -> None:
    """Give PyAV's own copy of the ALSA library a configuration: it comes without any.

    It cannot use the system's, which may load plugins (PulseAudio's) that this copy does not have.
    """
    configuration = Path("/run/rig-alsa.conf")
    configuration.write_text("pcm.hw { @args [ CARD ] @args.CARD { type string } type hw card $CARD }\n")
    os.environ["ALSA_CONFIG_PATH"] = str(configuration)


def packets(container: av.container.InputContainer, seconds: float) -> Iterator["av.Packet[av.stream.Stream]"]:
    """Yield the packets of the only stream that arrive within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            yield next(container.demux())
        except BlockingIOError:
            time.sleep(0.005)


def picture_in(packet: "av.Packet[av.stream.Stream]") -> pictures.Luma:
    """Decode a packet's only picture."""
    (frame,) = packet.decode()
    assert isinstance(frame, av.VideoFrame)
    return frame.to_ndarray(format="gray").astype(np.uint8, copy=False)


def lumas(container: av.container.InputContainer, count: int) -> list[pictures.Luma]:
    """Return the next `count` pictures."""
    return [picture_in(packet) for packet in itertools.islice(packets(container, seconds=20), count)]


def seconds_of(packet: "av.Packet[av.stream.Stream]") -> float:
    """Return a packet's time of presentation."""
    assert packet.pts is not None
    return float(packet.pts * packet.time_base)


def open_video(node: str, options: Mapping[str, str] = SMALL) -> av.container.InputContainer:
    return av.open(node, format="v4l2", options=dict(options))


def open_audio() -> av.container.InputContainer:
    return av.open("hw:CARD=MS2109", format="alsa", options={"channels": "2", "sample_rate": "48000"})


def samples(container: av.container.InputContainer, seconds: float) -> npt.NDArray[np.int16]:
    """Return the sound of `seconds`, shape (frames, 2)."""
    chunks = [bytes(packet) for packet in packets(container, seconds)]
    return np.frombuffer(b"".join(chunks), dtype=np.int16).reshape(-1, 2)


def error_on_reading(container: av.container.InputContainer) -> int:
    # A packet that a traceback kept would be freed after its device, which it gives its memory back to: that crashes.
    with pytest.raises(av.error.FFmpegError) as caught:  # not OSError: PyAV makes EINVAL a ValueError
        deque(packets(container, seconds=20), maxlen=0)
    assert caught.value.errno is not None
    return caught.value.errno


def test_udev_sees_the_camera_come_and_go(camera: RigDevice) -> None:
    subprocess.run(["udevadm", "settle"], check=True)  # what the test before has pulled out
    monitor = pyudev.Monitor.from_netlink(pyudev.Context())
    monitor.filter_by("video4linux")
    monitor.start()
    camera.plug(0)
    camera.wait_for_video()
    camera.unplug()
    seen = [
        event
        for event in iter(lambda: monitor.poll(timeout=3), None)
        if "index0" in event.properties.get("DEVLINKS", "")
    ]
    assert [event.action for event in seen] == ["add", "remove"]
    properties = seen[0].properties
    assert (properties["ID_VENDOR_ID"], properties["ID_MODEL_ID"]) == ("046d", "0825")
    assert properties["ID_SERIAL_SHORT"] == "CAM0001"
    assert properties["ID_PATH"] == "platform-vhci_hcd.0-usb-0:1:1.0"
    assert properties["ID_USB_INTERFACES"] == ":0e0100:0e0200:"


def test_another_port_changes_the_path_but_not_the_identity(camera: RigDevice) -> None:
    identities, paths = set(), set()
    for port in (0, 4):
        camera.plug(port)
        properties = pyudev.Devices.from_device_file(pyudev.Context(), camera.wait_for_video()).properties
        identities.add(properties["ID_SERIAL"])
        paths.add(properties["ID_PATH"])
        camera.unplug()
    assert (len(identities), len(paths)) == (1, 2)


@pytest.mark.parametrize(("size", "encoding"), [("640x480", "mjpeg"), ("320x240", "mjpeg"), ("160x120", "yuyv422")])
def test_pictures_arrive_in_order_and_in_time(camera: RigDevice, size: str, encoding: str) -> None:
    camera.plug(0)
    node = camera.wait_for_video()
    options = {"input_format": encoding, "video_size": size, "framerate": "15"} | NONBLOCK
    with open_video(node, options) as container:
        numbers = [pictures.number_of(luma) for luma in lumas(container, 20)]
        times = [seconds_of(packet) for packet in packets(container, seconds=2)]
    steps = {(after - before) % pictures.NUMBERS for before, after in itertools.pairwise(numbers)}
    assert steps == {1}
    assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(15, rel=0.1)


def test_picture_faults(camera: RigDevice) -> None:
    camera.plug(0)
    with open_video(camera.wait_for_video()) as container:
        lumas(container, 5)
        camera.set("video.picture", "frozen")
        lumas(container, 5)
        assert len({pictures.number_of(luma) for luma in lumas(container, 10)}) == 1
        camera.set("video.picture", "no-signal")
        lumas(container, 5)
        first, *others = lumas(container, 5)
        assert len(others) == 4
        assert all(np.array_equal(first, other) for other in others)
        camera.set("video.picture", "live")
        camera.set("video.slowdown", 3.0)
        lumas(container, 5)
        assert len(list(packets(container, seconds=2))) == pytest.approx(10, abs=2)


def test_corrupt_pictures_only_fail_when_the_decoder_is_told_to_mind(camera: RigDevice) -> None:
    camera.plug(0)
    camera.set("video.corrupt", "true")
    node = camera.wait_for_video()
    with open_video(node) as container:
        assert len(lumas(container, 5)) == 5
    with open_video(node) as container:
        container.streams.video[0].codec_context.options = {"err_detect": "explode"}
        with pytest.raises(av.error.InvalidDataError):
            lumas(container, 5)


def test_unplugging_mid_stream(camera: RigDevice) -> None:
    camera.plug(0)
    with open_video(camera.wait_for_video()) as container:
        lumas(container, 5)
        unplugging = threading.Timer(0.5, camera.unplug)
        unplugging.start()
        assert error_on_reading(container) == ENODEV
        unplugging.join()


def test_unplugging_mid_stream_when_reading_blocks(camera: RigDevice) -> None:
    camera.plug(0)
    with open_video(camera.wait_for_video(), SMALL | {"fflags": "0"}) as container:
        lumas(container, 5)
        unplugging = threading.Timer(0.5, camera.unplug)
        unplugging.start()
        assert error_on_reading(container) == EINVAL
        unplugging.join()


def test_a_silent_camera_just_stops(camera: RigDevice) -> None:
    camera.plug(0)
    container = open_video(camera.wait_for_video())
    lumas(container, 5)
    camera.set("device.silent", "true")
    list(packets(container, seconds=1))
    assert not list(packets(container, seconds=2))
    began = time.monotonic()
    container.close()  # the kernel waits for an answer to "stop"
    assert 4 < time.monotonic() - began < 8
    camera.set("device.silent", "false")


def test_the_stick_is_one_usb_device_with_picture_and_sound(stick: RigDevice) -> None:
    stick.plug(1)
    context = pyudev.Context()
    nodes = (stick.wait_for_video(), stick.wait_for_audio())
    video, audio = (pyudev.Devices.from_device_file(context, node) for node in nodes)
    parents = {device.find_parent("usb", "usb_device").sys_path for device in (video, audio)}
    assert len(parents) == 1
    assert audio.find_parent("sound").attributes.asstring("id") == "MS2109"


def test_the_sound_is_a_clean_tone(stick: RigDevice) -> None:
    stick.plug(1)
    stick.wait_for_audio()
    with open_audio() as container:
        sound = samples(container, seconds=2.5)[:96_000]
    assert len(sound) == 96_000
    peaks = [int(np.abs(np.fft.rfft(channel)).argmax()) / 2 for channel in sound.T]
    assert peaks == [440, 880]
    assert np.abs(np.diff(sound[:, 0].astype(int))).max() < 800  # a lost packet would leave a jump


def test_unplugging_while_recording_sound(stick: RigDevice) -> None:
    stick.plug(1)
    stick.wait_for_audio()
    with open_audio() as container:
        samples(container, seconds=1)
        unplugging = threading.Timer(0.5, stick.unplug)
        unplugging.start()
        assert error_on_reading(container) == EIO
        unplugging.join()


def test_flash_and_beep_come_once_a_second(stick: RigDevice) -> None:
    stick.plug(1)
    stick.set("audio.sound", "beep")
    video_node = stick.wait_for_video()
    stick.wait_for_audio()
    with open_audio() as audio, open_video(video_node) as video:
        sound: list[npt.NDArray[np.int16]] = []
        recorder = threading.Thread(target=lambda: sound.append(samples(audio, seconds=4)))
        recorder.start()
        # Decoded here and now: a packet of the v4l2 device is memory of the device, gone once that is closed.
        lit = [seconds_of(packet) for packet in packets(video, seconds=4) if pictures.is_flashing(picture_in(packet))]
        recorder.join()
    loud = np.flatnonzero(np.abs(sound[0][:, 0]) > 1000)
    beeps = loud[1:][np.diff(loud) > 24_000] / 48_000
    assert len(beeps) >= 2
    assert np.diff(beeps) == pytest.approx(1.0, abs=0.01)
    flashes = [after for before, after in itertools.pairwise([0.0, *lit]) if after - before > 0.5]
    assert len(flashes) >= 3
    assert np.diff(flashes) == pytest.approx(1.0, abs=0.15)
