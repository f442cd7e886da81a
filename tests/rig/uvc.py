"""A USB Video Class 1.1 function: one input, one bulk streaming endpoint, and controls.

The controls are those of real cameras: they forget what was set when the power goes, and refuse what an automatic mode
governs while that mode is on.
"""

import collections
import dataclasses
import functools
import itertools
import struct
import uuid
from collections.abc import Iterator, Sequence

from tests.rig import pictures
from tests.rig.usbip_device import ENDPOINT_IN, Delivery, Endpoint, Function, Setup, Stall, Transfer

VIDEO, VIDEO_CONTROL, VIDEO_STREAMING = 0x0E, 1, 2
CS_INTERFACE = 0x24
CAMERA_TERMINAL, STREAMING_TERMINAL = 0x0201, 0x0101
OUTPUT_ID = 3
PROBE, COMMIT = 1, 2
CLOCK_FREQUENCY = 27_000_000
PAYLOAD_SIZE = 32 * 512  # the most that uvcvideo puts into one bulk transfer
HEADER_SIZE = 6  # length, flags, presentation time
END_OF_HEADER, HAS_PTS, END_OF_FRAME = 0x80, 0x04, 0x02

MJPEG, YUYV, H264 = "MJPEG", "YUYV", "H264"
YUYV_GUID = uuid.UUID("32595559-0000-0010-8000-00aa00389b71")
H264_GUID = uuid.UUID("34363248-0000-0010-8000-00aa00389b71")


@dataclasses.dataclass(frozen=True)
class Mode:
    """One picture format and size, with the frame rates it is offered at (the first is the default)."""

    encoding: str
    width: int
    height: int
    rates: tuple[int, ...] = (30,)

    @property
    def intervals(self) -> list[int]:
        """The frame intervals it is offered at, in 100 ns."""
        return [10_000_000 // rate for rate in self.rates]

    @property
    def frame_size(self) -> int:
        """The most bytes that one frame can have."""
        return self.width * self.height * 2


class VideoEndpoint(Endpoint):
    """Streams test pictures at the committed mode's rate; its attributes inject faults.

    H.264 comes from a sequence that was encoded before, which is always live and does not flash.
    """

    def __init__(self, address: int, mode: Mode) -> None:
        super().__init__(address)
        self.picture = "live"
        self.slowdown = 1.0
        self.corrupt = False
        self.truncate = False
        self.first = 0
        self.frames_sent = 0
        self.frames_dropped = 0  # due while the host had not yet taken the one before
        self.commit(mode, mode.intervals[0])

    def commit(self, mode: Mode, interval: int) -> None:
        """Stream this mode from now on, one frame every `interval` (100 ns)."""
        self.mode = mode
        self._interval = interval / 10_000_000
        self.reset()

    def reset(self) -> None:
        self._payloads: collections.deque[bytes] = collections.deque()
        self._due: float | None = None
        self._number = itertools.count(self.first)
        self._last_number = 0
        self._toggle = 0

    def next_due(self) -> float | None:
        if not self.pending:
            return None
        return 0.0 if self._payloads or self._due is None else self._due

    def serve(self, now: float) -> Iterator[tuple[Transfer, Delivery]]:
        if not self.pending:
            return
        if self._due is None or now >= self._due:
            self._start_frame(now)
        while self.pending and self._payloads:
            yield self.pending.popleft(), self._payloads.popleft()

    def _start_frame(self, now: float) -> None:
        interval = self._interval * self.slowdown
        self._due = max((self._due or now) + interval, now)
        number = next(self._number)
        if self._payloads:
            self.frames_dropped += 1
            return
        self.frames_sent += 1
        self._payloads.extend(self._split(self._frame(number, now), now))

    def _frame(self, number: int, now: float) -> bytes:
        mode = self.mode
        if self.picture == "live":
            self._last_number = number % pictures.NUMBERS
        if mode.encoding == H264:
            return pictures.h264(mode.width, mode.height)[self._last_number]
        flash = self.picture == "live" and now % 1.0 < pictures.FLASH_SECONDS
        data = _encoded(mode, self._last_number if self.picture in ("live", "frozen") else self.picture, flash=flash)
        if self.corrupt and mode.encoding == MJPEG:
            data = pictures.damaged(data)
        return data[: len(data) // 2] if self.truncate else data

    def _split(self, data: bytes, now: float) -> Iterator[bytes]:
        """Cut the frame into UVC payloads, each at most one transfer long."""
        self._toggle ^= 1
        clock = int(now * CLOCK_FREQUENCY) & 0xFFFFFFFF
        room = PAYLOAD_SIZE - HEADER_SIZE
        for start in range(0, len(data), room):
            flags = END_OF_HEADER | HAS_PTS | self._toggle
            if start + room >= len(data):
                flags |= END_OF_FRAME
            yield struct.pack("<BBI", HEADER_SIZE, flags, clock) + data[start : start + room]


@functools.cache
def _encoded(mode: Mode, shown: int | str, *, flash: bool) -> bytes:
    """Return the live picture of a number, or the one of a name ("no-signal", "black"), as it goes over the wire."""
    if isinstance(shown, str):
        luma = pictures.STILL[shown](mode.width, mode.height)
    else:
        luma = pictures.live(mode.width, mode.height, shown, flash=flash)
    return pictures.jpeg(luma) if mode.encoding == MJPEG else pictures.yuyv(luma)


# Controls


INPUT_ID, PROCESSING_ID = 1, 2
SET_CUR, GET_CUR, GET_MIN, GET_MAX, GET_RES, GET_LEN, GET_INFO, GET_DEF = 0x01, *range(0x81, 0x88)
REQUEST_ERROR = 2  # selector of the interface itself: why the last request was refused
WRONG_STATE, OUT_OF_RANGE, INVALID_CONTROL, INVALID_REQUEST = 2, 4, 6, 7
CAN_BE_READ, CAN_BE_SET, DISABLED_BY_AUTO, UPDATES_ITSELF = 1, 2, 4, 8


@dataclasses.dataclass(frozen=True)
class UvcControl:
    """One control: where it is (entity, selector, bit of bmControls), and its values as `layout` (struct) packs them.

    `governor` names the control that has to hold one of `manual` before this one can be set.
    """

    name: str
    entity: int
    selector: int
    bit: int
    layout: str
    least: tuple[int, ...]
    most: tuple[int, ...]
    step: tuple[int, ...]
    default: tuple[int, ...]
    governor: str = ""
    manual: tuple[int, ...] = (0,)

    def pack(self, values: tuple[int, ...]) -> bytes:
        """Return values as they go over the wire."""
        return struct.pack(f"<{self.layout}", *values)


def _unit(name: str, selector: int, bit: int, layout: str, values: Sequence[int], governor: str = "") -> UvcControl:
    least, most, step, default = ((value,) for value in values)
    return UvcControl(name, PROCESSING_ID, selector, bit, layout, least, most, step, default, governor)


CARD_CONTROLS = (
    _unit("brightness", 2, 0, "h", (0, 255, 1, 128)),
    _unit("contrast", 3, 1, "H", (0, 255, 1, 32)),
    _unit("saturation", 7, 3, "H", (0, 255, 1, 64)),
)
"""What a capture stick offers."""

CAMERA_CONTROLS = (
    *CARD_CONTROLS,
    _unit("gain", 4, 9, "H", (0, 255, 1, 0)),
    _unit("power_line_frequency", 5, 10, "B", (0, 2, 1, 2)),  # off, 50 Hz, 60 Hz
    _unit("white_balance_temperature_auto", 0x0B, 12, "B", (0, 1, 1, 1)),
    _unit("white_balance_temperature", 0x0A, 6, "H", (2800, 6500, 10, 4000), "white_balance_temperature_auto"),
    _unit("backlight_compensation", 1, 8, "H", (0, 1, 1, 0)),
    # Bits: 1 manual, 8 aperture priority (which people call automatic); GET_RES says which of them there are.
    UvcControl("auto_exposure", INPUT_ID, 2, 1, "B", (1,), (8,), (1 | 8,), (8,)),
    UvcControl("exposure_time", INPUT_ID, 4, 3, "I", (3,), (2047,), (1,), (250,), "auto_exposure", (1, 4)),
    UvcControl("focus_auto", INPUT_ID, 8, 17, "B", (0,), (1,), (1,), (1,)),
    UvcControl("focus", INPUT_ID, 6, 5, "H", (0,), (250,), (5,), (0,), "focus_auto"),
    UvcControl("zoom", INPUT_ID, 0x0B, 9, "H", (100,), (500,), (1,), (100,)),
    UvcControl("pan_tilt", INPUT_ID, 0x0D, 11, "ii", (-36000, -36000), (36000, 36000), (3600, 3600), (0, 0)),
)
"""What a webcam with focus, zoom and pan offers."""


class ControlBank:
    """The values of one device's controls; its attributes inject faults, each by a control's name.

    stalls      refuses every SET_CUR of it
    unreadable  refuses GET_DEF of it, as some cameras do of controls that they announce and do not have
    """

    def __init__(self, controls: Sequence[UvcControl]) -> None:
        self.controls = {control.name: control for control in controls}
        self.stalls = ""
        self.unreadable = ""
        self.times_set = 0  # SET_CUR that were obeyed
        self._error = 0
        self.power_on()

    def power_on(self) -> None:
        """Forget what was set."""
        self._values = {name: control.default for name, control in self.controls.items()}

    def __getattr__(self, name: str) -> str:
        """Return the value of the control `name` as text: `get controls.brightness`."""
        if name.startswith("_") or name not in self._values:
            raise AttributeError(name)
        return ",".join(map(str, self._values[name]))

    def bits(self, entity: int) -> int:
        """Return bmControls of an entity."""
        return sum(1 << control.bit for control in self.controls.values() if control.entity == entity)

    def request(self, setup: Setup, data: bytes) -> bytes:
        """Answer a request to an entity of the control interface, or raise Stall."""
        selector, entity = setup.value >> 8, setup.index >> 8
        if (entity, selector) == (0, REQUEST_ERROR):
            return bytes([self._error])
        found = [c for c in self.controls.values() if (c.entity, c.selector) == (entity, selector)]
        if not found:
            raise self._refused(INVALID_CONTROL)
        self._error = 0
        return self._set(found[0], data) if setup.request == SET_CUR else self._get(found[0], setup.request)

    def _refused(self, reason: int) -> Stall:
        self._error = reason
        return Stall()

    def _is_governed(self, control: UvcControl) -> bool:
        return bool(control.governor) and self._values[control.governor][0] not in control.manual

    def _set(self, control: UvcControl, data: bytes) -> bytes:
        values = struct.unpack(f"<{control.layout}", data)
        if control.name == self.stalls:
            raise Stall
        if self._is_governed(control):
            raise self._refused(WRONG_STATE)
        ranges = zip(control.least, values, control.most, strict=True)
        if not all(least <= value <= most for least, value, most in ranges):
            raise self._refused(OUT_OF_RANGE)
        self._values[control.name] = values
        self.times_set += 1
        return b""

    def _get(self, control: UvcControl, request: int) -> bytes:
        if request == GET_INFO:
            governed = UPDATES_ITSELF | (DISABLED_BY_AUTO if self._is_governed(control) else 0)
            return bytes([CAN_BE_READ | CAN_BE_SET | (governed if control.governor else 0)])
        if request == GET_LEN:
            return struct.calcsize(f"<{control.layout}").to_bytes(2, "little")
        if request == GET_DEF and control.name == self.unreadable:
            raise Stall
        answers = {
            GET_CUR: self._values[control.name], GET_MIN: control.least, GET_MAX: control.most, GET_RES: control.step,
            GET_DEF: control.default,
        }  # fmt: skip
        if request not in answers:
            raise self._refused(INVALID_REQUEST)
        return control.pack(answers[request])


class VideoFunction(Function):
    """Video control and streaming interfaces around a VideoEndpoint."""

    interface_count = 2

    def __init__(
        self, endpoint_number: int, modes: Sequence[Mode], controls: Sequence[UvcControl] = CAMERA_CONTROLS
    ) -> None:
        self.controls = ControlBank(controls)
        self._formats = [list(group) for _, group in itertools.groupby(modes, key=lambda mode: mode.encoding)]
        self.video = VideoEndpoint(endpoint_number | ENDPOINT_IN, self._formats[0][0])
        self.endpoints = (self.video,)
        self._probe = self._negotiated(1, 1, 0)
        self._control_interface = 0

    def power_on(self) -> None:
        self.controls.power_on()

    # Descriptors

    def descriptors(self, first_interface: int) -> bytes:
        self._control_interface = first_interface
        streaming = first_interface + 1
        return (
            struct.pack("<8B", 8, 11, first_interface, 2, VIDEO, 3, 0, 0)
            + struct.pack("<9B", 9, 4, first_interface, 0, 0, VIDEO, VIDEO_CONTROL, 0, 0)
            + self._control_descriptors(streaming)
            + struct.pack("<9B", 9, 4, streaming, 0, 1, VIDEO, VIDEO_STREAMING, 0, 0)
            + self._streaming_descriptors()
            + struct.pack("<BBBBHB", 7, 5, self.video.address, 2, 512, 0)
        )

    def _control_descriptors(self, streaming: int) -> bytes:
        terminal = struct.pack("<BBBBHBBHHHB", 18, CS_INTERFACE, 2, INPUT_ID, CAMERA_TERMINAL, 0, 0, 0, 0, 0, 3)
        terminal += self.controls.bits(INPUT_ID).to_bytes(3, "little")
        bits = self.controls.bits(PROCESSING_ID)
        processing = struct.pack("<BBBBBHBHBB", 12, CS_INTERFACE, 5, PROCESSING_ID, INPUT_ID, 0, 2, bits, 0, 0)
        output = struct.pack("<BBBBHBBB", 9, CS_INTERFACE, 3, OUTPUT_ID, STREAMING_TERMINAL, 0, PROCESSING_ID, 0)
        units = terminal + processing + output
        header = struct.pack("<BBBHHIBB", 13, CS_INTERFACE, 1, 0x0110, 13 + len(units), CLOCK_FREQUENCY, 1, streaming)
        return header + units

    def _streaming_descriptors(self) -> bytes:
        body = b"".join(self._format_descriptors(index, modes) for index, modes in enumerate(self._formats, 1))
        count = len(self._formats)
        size = 13 + count
        header = struct.pack(
            f"<BBBBHBBBBBBB{count}x", size, CS_INTERFACE, 1, count, size + len(body), self.video.address,
            0, OUTPUT_ID, 0, 0, 0, 1,
        )  # fmt: skip
        return header + body

    def _format_descriptors(self, index: int, modes: list[Mode]) -> bytes:
        count = len(modes)
        if modes[0].encoding == MJPEG:
            description = struct.pack("<11B", 11, CS_INTERFACE, 6, index, count, 1, 1, 0, 0, 0, 0)
        elif modes[0].encoding == H264:
            head, tail = struct.pack("<5B", 28, CS_INTERFACE, 16, index, count), struct.pack("<7B", 0, 1, 0, 0, 0, 0, 1)
            description = head + H264_GUID.bytes_le + tail
        else:
            head, tail = struct.pack("<5B", 27, CS_INTERFACE, 4, index, count), struct.pack("<6B", 16, 1, 0, 0, 0, 0)
            description = head + YUYV_GUID.bytes_le + tail
        description += b"".join(_frame_descriptor(number, mode) for number, mode in enumerate(modes, 1))
        return description + struct.pack("<6B", 6, CS_INTERFACE, 13, 1, 1, 4)

    # Class requests

    def control(self, setup: Setup, data: bytes) -> bytes:
        if setup.interface == self._control_interface:
            return self.controls.request(setup, data)
        selector = setup.value >> 8
        if selector not in (PROBE, COMMIT):
            raise Stall
        return self._stream_control(setup, selector, data)

    def _stream_control(self, setup: Setup, selector: int, data: bytes) -> bytes:
        if setup.request == GET_INFO:
            return b"\3"
        if setup.request == GET_LEN:
            return len(self._probe).to_bytes(2, "little")
        if setup.request != SET_CUR:
            return self._probe
        _, format_index, frame_index, interval = struct.unpack_from("<HBBI", data)
        self._probe = self._negotiated(format_index, frame_index, interval)
        if selector == COMMIT:
            mode = self._mode(format_index, frame_index)
            self.video.commit(mode, struct.unpack_from("<I", self._probe, 4)[0])
        return b""

    def _mode(self, format_index: int, frame_index: int) -> Mode:
        modes = self._formats[min(max(format_index, 1), len(self._formats)) - 1]
        return modes[min(max(frame_index, 1), len(modes)) - 1]

    def _negotiated(self, format_index: int, frame_index: int, interval: int) -> bytes:
        """Return the probe/commit structure (UVC 1.1, 34 bytes) for what was asked, or the nearest to it."""
        mode = self._mode(format_index, frame_index)
        nearest = min(mode.intervals, key=lambda offered: abs(offered - interval)) if interval else mode.intervals[0]
        return struct.pack(
            "<HBBIHHHHHIIIBBBB", 1, format_index, frame_index, nearest, 0, 0, 0, 0, 0, mode.frame_size,
            PAYLOAD_SIZE, CLOCK_FREQUENCY, 3, 0, 0, 0,
        )  # fmt: skip


def _frame_descriptor(number: int, mode: Mode) -> bytes:
    """Return the descriptor of one size, which comes with its rates."""
    kind = {MJPEG: 7, YUYV: 5, H264: 17}[mode.encoding]
    rate = mode.frame_size * 8 * max(mode.rates)
    count, default = len(mode.rates), mode.intervals[0]
    # Frames of H.264 have no largest size to announce, but bytes per line, which say nothing of them.
    rest = (default, count, 0) if mode.encoding == H264 else (mode.frame_size, default, count)
    return struct.pack(
        f"<BBBBBHHII{'IBI' if mode.encoding == H264 else 'IIB'}{count}I", 26 + 4 * count, CS_INTERFACE, kind, number, 0,
        mode.width, mode.height, rate // 10, rate, *rest, *mode.intervals,
    )  # fmt: skip
