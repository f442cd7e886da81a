"""A USB Audio Class 1.0 function: stereo 16-bit 48 kHz input over an isochronous endpoint.

Each packet is a millisecond. What the host has no transfer queued for is lost, as on real hardware.
"""

import array
import math
import struct
from collections.abc import Iterator

from tests.rig.usbip_device import ENDPOINT_IN, Delivery, Endpoint, Function, Setup, Stall, Transfer

AUDIO, AUDIO_CONTROL, AUDIO_STREAMING = 1, 1, 2
CS_INTERFACE, CS_ENDPOINT = 0x24, 0x25
INPUT_ID, OUTPUT_ID = 1, 3
LINE_TERMINAL, STREAMING_TERMINAL = 0x0603, 0x0101

RATE = 48_000
FRAME_BYTES = 4  # two channels of 16 bits
SECOND_BYTES = RATE * FRAME_BYTES
PACKET_SECONDS = 0.001
PACKET_FRAMES = RATE // 1000
LONGEST_DEBT = 1.0  # seconds that the device may lag before it drops sound; real ones hold milliseconds,
# but in an emulated guest this process itself may run late
LEFT_HERTZ, RIGHT_HERTZ = 440, 880
BEEP_SECONDS = 0.1


type Mix = dict[int, int]  # sines by their frequency, each with its amplitude
TONE: tuple[Mix, Mix] = ({LEFT_HERTZ: 12_000}, {RIGHT_HERTZ: 12_000})


def _one_second(left: Mix, right: Mix, *, audible: float = 1.0) -> bytes:
    """Make a second of sines, cut off at full scale, that falls silent after the `audible` part of it."""
    cycle_frames = RATE // math.gcd(RATE, *left, *right)  # after this many all of them repeat
    cycle = array.array(
        "h",
        (
            max(-32_768, min(32_767, int(sum(amplitude * math.sin(2 * math.pi * hertz * index / RATE)
                                             for hertz, amplitude in mix.items()))))
            for index in range(cycle_frames)
            for mix in (left, right)
        ),
    ).tobytes()  # fmt: skip
    sound = cycle * int(SECOND_BYTES * audible / len(cycle))
    return sound.ljust(SECOND_BYTES, b"\0")


class AudioEndpoint(Endpoint):
    """Streams a test sound; its attributes inject faults.

    sound       "tone" (440 Hz left, 880 Hz right), "beep" (the tone for the first tenth of every second), "silence" or
                "clipping" (the tone, too loud)

    As an MS2109's, its packets break inside a stereo frame, after half a frame too many at the start.
    """

    def __init__(self, address: int) -> None:
        super().__init__(address)
        self.sound = "tone"
        self.packets_lost = 0
        # Each three seconds long, so that a slice near either end of the middle one need not wrap.
        self._sounds = {
            "tone": _one_second(*TONE) * 3,
            "beep": _one_second(*TONE, audible=BEEP_SECONDS) * 3,
            "silence": bytes(SECOND_BYTES) * 3,
            "clipping": _one_second({LEFT_HERTZ: 60_000}, {RIGHT_HERTZ: 60_000}) * 3,
        }
        self._position = 0  # of that packet, in frames within the second
        self.reset()

    def reset(self) -> None:
        self._time: float | None = None  # when the packet after the last delivered one begins
        self._break_early = True  # where the last packet ended

    def next_due(self) -> float | None:
        if not self.pending:
            return None
        return 0.0 if self._time is None else self._end_of_next(self._time)

    def _end_of_next(self, begin: float) -> float:
        """Return when the oldest transfer is full, if its first packet begins at `begin`."""
        return begin + len(self.pending[0].packet_lengths) * PACKET_SECONDS

    def serve(self, now: float) -> Iterator[tuple[Transfer, Delivery]]:
        if not self.pending:
            return
        if self._time is None:
            self._time = now
            self._position = int(now % 1.0 * RATE)
        if now - self._time > LONGEST_DEBT:
            lost = int((now - self._time) / PACKET_SECONDS)
            self.packets_lost += lost
            self._advance(lost)
        while self.pending and now >= self._end_of_next(self._time):
            transfer = self.pending.popleft()
            yield transfer, [self._packet() for _ in transfer.packet_lengths]

    def _advance(self, packets: int) -> None:
        self._time = (self._time or 0.0) + packets * PACKET_SECONDS
        self._position = (self._position + packets * PACKET_FRAMES) % RATE

    def _packet(self) -> bytes:
        start, end = self._position * FRAME_BYTES, (self._position + PACKET_FRAMES) * FRAME_BYTES
        start -= 2 * self._break_early
        self._break_early = not self._break_early
        end -= 2 * self._break_early
        self._advance(1)
        return self._sounds[self.sound][start + SECOND_BYTES : end + SECOND_BYTES]


class AudioFunction(Function):
    """Audio interfaces. As the MS2109's, its descriptors say 96 kHz mono, which the kernel knows and corrects."""

    interface_count = 2

    def __init__(self, endpoint_number: int) -> None:
        self.audio = AudioEndpoint(endpoint_number | ENDPOINT_IN)
        self.endpoints = (self.audio,)

    def descriptors(self, first_interface: int) -> bytes:
        streaming = first_interface + 1
        units = (
            struct.pack("<BBBBHBBHBB", 12, CS_INTERFACE, 2, INPUT_ID, LINE_TERMINAL, 0, 1, 0, 0, 0)
            + struct.pack("<BBBBHBBB", 9, CS_INTERFACE, 3, OUTPUT_ID, STREAMING_TERMINAL, 0, INPUT_ID, 0)
        )  # fmt: skip
        packet_bytes = PACKET_FRAMES * FRAME_BYTES + 2 * FRAME_BYTES
        return (
            struct.pack("<8B", 8, 11, first_interface, 2, AUDIO, AUDIO_STREAMING, 0, 0)
            + struct.pack("<9B", 9, 4, first_interface, 0, 0, AUDIO, AUDIO_CONTROL, 0, 0)
            + struct.pack("<BBBHHBB", 9, CS_INTERFACE, 1, 0x0100, 9 + len(units), 1, streaming)
            + units
            + struct.pack("<9B", 9, 4, streaming, 0, 0, AUDIO, AUDIO_STREAMING, 0, 0)
            + struct.pack("<9B", 9, 4, streaming, 1, 1, AUDIO, AUDIO_STREAMING, 0, 0)
            + struct.pack("<BBBBBH", 7, CS_INTERFACE, 1, OUTPUT_ID, 1, 1)  # PCM
            + struct.pack("<8B", 11, CS_INTERFACE, 2, 1, 1, 2, 16, 1)
            + (2 * RATE).to_bytes(3, "little")
            + struct.pack("<BBBBHBBB", 9, 5, self.audio.address, 5, packet_bytes, 4, 0, 0)  # every millisecond
            + struct.pack("<BBBBBH", 7, CS_ENDPOINT, 1, 0, 0, 0)
        )

    def control(self, setup: Setup, data: bytes) -> bytes:
        raise Stall
