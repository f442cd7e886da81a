"""A USB device in user space, plugged into the local kernel's virtual host controller (vhci-hcd).

It speaks USB/IP (kernel Documentation/usb/usbip_protocol.rst) over a stream socket, on a thread of its own.
"""

import abc
import collections
import dataclasses
import functools
import itertools
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")
HIGH_SPEED = 3  # enum usb_device_speed
PORT_FREE = 4  # VDEV_ST_NULL, in the controller's status table

# USB/IP messages: a 20-byte head, then 28 bytes that depend on the command; all big endian.
MESSAGE_SIZE = 48
HEAD = struct.Struct(">IIIII")  # command, sequence number, device id, direction, endpoint
SUBMIT = struct.Struct(">IiiiI8s")  # flags, length, start frame, packets, interval, setup
UNLINK = struct.Struct(">I24x")  # sequence number of the transfer to take back
RET_SUBMIT = struct.Struct(">iiiii8x")  # status, length, start frame, packets, errors
RET_UNLINK = struct.Struct(">i24x")  # status
ISO_PACKET = struct.Struct(">IIII")  # offset, length, actual length, status
CMD_SUBMIT, CMD_UNLINK, REPLY_SUBMIT, REPLY_UNLINK = 1, 2, 3, 4

EPIPE, ECONNRESET = 32, 104
NO_PACKETS = (0, -1)  # what stands for "not isochronous" on the wire

# Standard requests and descriptor types (USB 2.0, chapter 9).
GET_STATUS, CLEAR_FEATURE, GET_DESCRIPTOR, GET_CONFIGURATION, GET_INTERFACE, SET_INTERFACE = 0, 1, 6, 8, 10, 11
DEVICE, CONFIGURATION, STRING, DEVICE_QUALIFIER = 1, 2, 3, 6
TO_ENDPOINT = 2
ENDPOINT_IN = 0x80

ROUND_SECONDS = 0.004
SILENT_POLL_SECONDS = 0.2  # how soon a device that was silent notices that it is so no longer


class Stall(Exception):
    """The device refuses a request (the host sees EPIPE)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """The eight bytes that open a control transfer."""

    request_type: int
    request: int
    value: int
    index: int
    length: int

    @classmethod
    def parse(cls, raw: bytes) -> "Setup":
        """Read them as they come over the wire."""
        return cls(*struct.unpack("<BBHHH", raw))

    @property
    def recipient(self) -> int:
        """Whom it is for: 0 the device, 1 an interface, 2 an endpoint."""
        return self.request_type & 0x1F

    @property
    def is_standard(self) -> bool:
        """Whether it is one of the requests of USB itself, not of a device class."""
        return self.request_type & 0x60 == 0

    @property
    def interface(self) -> int:
        """The number of the interface (or the address of the endpoint) it is for."""
        return self.index & 0xFF


@dataclasses.dataclass
class Transfer:
    """One transfer that the host has queued on an IN endpoint and waits for."""

    sequence: int
    length: int
    packet_lengths: tuple[int, ...]


type Delivery = bytes | list[bytes]  # the data of a bulk transfer; packet by packet, that of an isochronous one


class Endpoint(abc.ABC):
    """An IN endpoint that delivers data on the device's own schedule."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.pending: collections.deque[Transfer] = collections.deque()  # oldest first

    @abc.abstractmethod
    def next_due(self) -> float | None:
        """Return when (time.monotonic) `serve` should next be called; None while there is no need."""

    @abc.abstractmethod
    def serve(self, now: float) -> Iterator[tuple[Transfer, Delivery]]:
        """Yield (Transfer, data) for what is ready at `now` (time.monotonic)."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Stop streaming: the host cleared a halt or changed the alternate setting."""


class Function(abc.ABC):
    """Interfaces that belong together: their descriptors, class requests and endpoints."""

    interface_count: ClassVar[int]
    endpoints: tuple[Endpoint, ...]

    @abc.abstractmethod
    def descriptors(self, first_interface: int) -> bytes:
        """Return the interface association and all under it, numbered from `first_interface`."""

    @abc.abstractmethod
    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answer one class request (bytes for IN, b"" for OUT) or raise Stall."""

    def power_on(self) -> None:  # noqa: B027 - most functions have nothing to forget
        """Be as after a loss of power; called at each plug."""


@functools.lru_cache
def _packet_table(room: tuple[int, ...], used: tuple[int, ...]) -> bytes:
    """Return the packet descriptors of an isochronous reply, from the bytes each packet could and did hold."""
    offsets = itertools.accumulate(room[:-1], initial=0)
    return b"".join(ISO_PACKET.pack(*packet, 0) for packet in zip(offsets, room, used, strict=True))


class UsbDevice:
    """A composite high-speed device made of functions; see the module's text."""

    _socket: socket.socket
    _thread: threading.Thread

    def __init__(
        self,
        vendor_id: int,
        product_id: int,
        functions: Sequence[Function],
        *,
        manufacturer: str = "",
        product: str = "",
        serial: str = "",
        release: int = 0x0100,
    ) -> None:
        self.functions = functions
        self.silent = False  # fault: stop answering, without leaving the bus
        self._strings = [text for text in (manufacturer, product, serial) if text]
        self._interfaces: dict[int, Function] = {}
        self._alternates: collections.Counter[int] = collections.Counter()
        self._received = bytearray()
        self._replies: list[bytes] = []
        body = b""
        for function in functions:
            first = len(self._interfaces)
            body += function.descriptors(first)
            self._interfaces |= dict.fromkeys(range(first, first + function.interface_count), function)
        self._endpoints = {endpoint.address: endpoint for function in functions for endpoint in function.endpoints}
        self._descriptor = struct.pack(
            "<BBHBBBBHHHBBBB", 18, DEVICE, 0x0200, 0xEF, 2, 1, 64, vendor_id, product_id, release,
            self._string_index(manufacturer), self._string_index(product), self._string_index(serial), 1,
        )  # fmt: skip
        self._configuration = (
            struct.pack("<BBHBBBBB", 9, CONFIGURATION, 9 + len(body), len(self._interfaces), 1, 0, 0x80, 250) + body
        )

    def _string_index(self, text: str) -> int:
        return self._strings.index(text) + 1 if text else 0

    # Plugging

    def plug(self, port: int = 0) -> None:
        """Attach to root-hub port `port` (sysfs name 1-PORT+1 on the first controller)."""
        kernel_end, self._socket = socket.socketpair()
        self._alternates.clear()
        for function in self.functions:
            function.power_on()
        for endpoint in self._endpoints.values():
            endpoint.pending.clear()
            endpoint.reset()
        with kernel_end:
            # vhci takes its own reference to the socket behind the descriptor.
            (CONTROLLER / "attach").write_text(f"{port} {kernel_end.fileno()} {port + 1} {HIGH_SPEED}")
        self._port = port
        self._thread = threading.Thread(target=self._run, name="usb-device", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Vanish from the bus at once, whatever is in flight; returns when the port is free again."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        while not self._port_is_free():
            time.sleep(0.01)

    def _port_is_free(self) -> bool:
        rows = (line.split() for line in (CONTROLLER / "status").read_text().splitlines()[1:])
        return any(int(row[1]) == self._port and int(row[2]) == PORT_FREE for row in rows)

    # The device's thread. While data streams, rounds are at least ROUND_SECONDS apart: the kernel asks for sound in
    # transfers of one millisecond, and in an emulated guest every wake-up of this thread is dear.

    def _run(self) -> None:
        self._received.clear()
        self._replies.clear()
        round_began = 0.0
        while True:
            try:
                if select.select([self._socket], [], [], self._idle_seconds())[0]:
                    if any(endpoint.pending for endpoint in self._endpoints.values()):
                        time.sleep(max(0.0, round_began + ROUND_SECONDS - time.monotonic()))
                    if not (data := self._socket.recv(1 << 20)):
                        return
                    self._received += data
                    while self._handle_message():
                        pass
                round_began = time.monotonic()
                if not self.silent:
                    self._serve_endpoints(round_began)
                if self._replies:
                    self._socket.sendall(b"".join(self._replies))
                    self._replies.clear()
            except (BrokenPipeError, ConnectionResetError):
                return

    def _idle_seconds(self) -> float | None:
        """Return how long there is nothing to do unless the host sends a message (None: until it does)."""
        if self.silent:
            return SILENT_POLL_SECONDS
        due = [moment for endpoint in self._endpoints.values() if (moment := endpoint.next_due()) is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _handle_message(self) -> bool:
        """Act on the first message received, if all of it is there."""
        if len(self._received) < MESSAGE_SIZE:
            return False
        command, sequence, _, direction, number = HEAD.unpack_from(self._received)
        if command == CMD_SUBMIT:
            endpoint = number | (ENDPOINT_IN if direction else 0)
            _, length, _, packets, _, setup = SUBMIT.unpack_from(self._received, HEAD.size)
            data_end = MESSAGE_SIZE + (0 if direction else length)
            end = data_end + (0 if packets in NO_PACKETS else packets * ISO_PACKET.size)
            if len(self._received) < end:
                return False
            data, table = bytes(self._received[MESSAGE_SIZE:data_end]), bytes(self._received[data_end:end])
            if number:
                packet_lengths = tuple(packet[1] for packet in ISO_PACKET.iter_unpack(table))
                self._endpoints[endpoint].pending.append(Transfer(sequence, length, packet_lengths))
            elif not self.silent:
                self._answer_control(sequence, Setup.parse(setup), data)
        else:
            end = MESSAGE_SIZE
            self._unlink(sequence, *UNLINK.unpack_from(self._received, HEAD.size))
        del self._received[:end]
        return True

    def _answer_control(self, sequence: int, setup: Setup, data: bytes) -> None:
        try:
            answer, status = self._control(setup, data)[: setup.length], 0
        except Stall:
            answer, status = b"", -EPIPE
        sent = len(answer) if setup.request_type & ENDPOINT_IN else len(data)
        self._reply(REPLY_SUBMIT, sequence, RET_SUBMIT.pack(status, sent, 0, 0, 0), answer)

    def _unlink(self, sequence: int, victim: int) -> None:
        """Give a transfer back.  Answered even when silent: on real hardware the host does this."""
        status = -ECONNRESET if self.silent else 0
        for endpoint in self._endpoints.values():
            for transfer in endpoint.pending:
                if transfer.sequence == victim:
                    endpoint.pending.remove(transfer)
                    status = -ECONNRESET
                    break
        self._reply(REPLY_UNLINK, sequence, RET_UNLINK.pack(status))

    def _serve_endpoints(self, now: float) -> None:
        for endpoint in self._endpoints.values():
            for transfer, data in endpoint.serve(now):
                if isinstance(data, bytes):
                    sent, packets, table = data, 0, b""
                else:
                    sent, packets = b"".join(data), len(transfer.packet_lengths)
                    table = _packet_table(transfer.packet_lengths, tuple(map(len, data)))
                body = RET_SUBMIT.pack(0, len(sent), 0, packets, 0)
                self._reply(REPLY_SUBMIT, transfer.sequence, body, sent, table)

    def _reply(self, command: int, sequence: int, body: bytes, *parts: bytes) -> None:
        self._replies += (HEAD.pack(command, sequence, 0, 0, 0), body, *parts)

    # Control requests

    def _control(self, setup: Setup, data: bytes) -> bytes:
        if not setup.is_standard:
            return self._owner(setup).control(setup, data)
        if setup.request == GET_DESCRIPTOR:
            return self._get_descriptor(setup.value >> 8, setup.value & 0xFF)
        if setup.request == GET_STATUS:
            return b"\0\0"
        if setup.request == GET_CONFIGURATION:
            return b"\1"
        if setup.request == GET_INTERFACE:
            return bytes([self._alternates[setup.interface]])
        if setup.request == SET_INTERFACE:
            self._alternates[setup.interface] = setup.value
            for endpoint in self._interfaces[setup.interface].endpoints:
                endpoint.reset()
        elif setup.request == CLEAR_FEATURE and setup.recipient == TO_ENDPOINT:
            self._endpoints[setup.interface].reset()
        return b""

    def _owner(self, setup: Setup) -> Function:
        """Return the function that a class request is for (addressed by interface or by endpoint)."""
        if setup.recipient == TO_ENDPOINT:
            owners = [f for f in self.functions if any(e.address == setup.interface for e in f.endpoints)]
        else:
            owners = [self._interfaces[setup.interface]] if setup.interface in self._interfaces else []
        if not owners:
            raise Stall
        return owners[0]

    def _get_descriptor(self, kind: int, index: int) -> bytes:
        if kind == DEVICE:
            return self._descriptor
        if kind == CONFIGURATION:
            return self._configuration
        if kind == STRING and index == 0:
            return struct.pack("<BBH", 4, STRING, 0x0409)
        if kind == STRING and index <= len(self._strings):
            text = self._strings[index - 1].encode("utf-16-le")
            return bytes([2 + len(text), STRING]) + text
        if kind == DEVICE_QUALIFIER:
            return struct.pack("<BBHBBBBBB", 10, DEVICE_QUALIFIER, 0x0200, 0xEF, 2, 1, 64, 1, 0)
        raise Stall
