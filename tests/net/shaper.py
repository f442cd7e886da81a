"""A slow, long, lossy link between two network namespaces: `python -m tests.net.shaper LEFT_PID RIGHT_PID [SEED]`.

Kernels without netem cannot delay packets, so this process carries them between two TUN devices; "up" is from left to
right. Standard input takes one JSON object a line, such as {"up": {"rate": 2e6}, "blackout_s": 20}; each is answered.
"""

import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

LEFT, RIGHT = "10.77.0.1", "10.77.0.2"

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 1, 0x1000
_AT_ONCE = 64  # packets that are read from one side before the other is looked at
_LONGEST_PACKET = 2048
_FIRST_LINE = {"type": "ready"}

type _Waiting = tuple[float, int, int, bytes]  # when a packet is due, its number, to which device it goes, the packet


@dataclass(slots=True)
class Direction:
    """One way of the link: bits a second (0: no limit), seconds of delay and of queue before it, part that is lost."""

    device: int  # to which its packets go
    random: random.Random
    rate: float = 0.0
    delay_s: float = 0.0
    loss: float = 0.0
    queue_s: float = 0.3
    free_at: float = 0.0
    counts: dict[str, int] = field(default_factory=lambda: {"packets": 0, "bytes": 0, "lost": 0, "queue_full": 0})

    def due(self, now: float, packet: bytes) -> float | None:
        """Return when `packet` arrives at the other end; None where it does not."""
        if self.loss and self.random.random() < self.loss:
            self.counts["lost"] += 1
            return None
        leaves = now
        if self.rate:
            begins = max(now, self.free_at)
            if begins - now > self.queue_s:
                self.counts["queue_full"] += 1
                return None
            leaves = self.free_at = begins + len(packet) * 8 / self.rate
        self.counts["packets"] += 1
        self.counts["bytes"] += len(packet)
        return leaves + self.delay_s


class Shaper:
    """Carries packets between two devices until standard input ends."""

    def __init__(self, left: int, right: int, seed: int) -> None:
        chance = random.Random(seed)
        self._from = {left: Direction(right, chance), right: Direction(left, chance)}
        self._names = {"up": self._from[left], "down": self._from[right]}
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._dark_until = 0.0
        self._commands = b""

    def run(self) -> None:
        """Carry packets and take orders."""
        poll = select.poll()
        for source in (*self._from, sys.stdin.fileno()):
            os.set_blocking(source, False)
            poll.register(source, select.POLLIN)
        while True:
            self._deliver()
            for source, _ in poll.poll(self._wait_ms()):
                if source in self._from:
                    self._take(source)
                elif not self._obey():
                    return

    def _wait_ms(self) -> float | None:
        return None if not self._waiting else max(0.0, (self._waiting[0][0] - time.monotonic()) * 1000)

    def _deliver(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(self._waiting)
            with contextlib.suppress(OSError):  # its end has no room, or is down
                os.write(device, packet)

    def _take(self, source: int) -> None:
        direction = self._from[source]
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(source, _LONGEST_PACKET)
            except BlockingIOError:
                return
            now = time.monotonic()
            if now < self._dark_until or (due := direction.due(now, packet)) is None:
                continue
            self._number += 1
            heapq.heappush(self._waiting, (due, self._number, direction.device, packet))

    def _obey(self) -> bool:
        """Do what standard input says; return whether more may come."""
        received = os.read(sys.stdin.fileno(), 4096)
        if not received:
            return False
        *lines, self._commands = (self._commands + received).split(b"\n")
        for line in lines:
            self._change(json.loads(line))
            say({name: direction.counts for name, direction in self._names.items()})
        return True

    def _change(self, order: dict[str, object]) -> None:
        for name, value in order.items():
            if isinstance(value, dict):
                for quality, number in value.items():
                    setattr(self._names[name], quality, float(number))
            elif name == "blackout_s":
                self._dark_until = time.monotonic() + float(str(value))
            else:
                raise SystemExit(f"no such order: {name}")


def make_device(pid: int, here: str, there: str) -> int:
    """Make a TUN device in the network namespace of process `pid`, and return its file descriptor."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    os.setns(namespace, os.CLONE_NEWNET)
    os.close(namespace)
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"wan", _IFF_TUN | _IFF_NO_PI))
    for words in (f"addr add {here} peer {there} dev wan", "link set wan up mtu 1500", "link set lo up"):
        subprocess.run(["ip", *words.split()], check=True)
    return device


def say(what: Mapping[str, object]) -> None:
    """Write a line for whoever gives the orders."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Make both ends, say so, and carry."""
    left, right, *seed = map(int, sys.argv[1:])
    ends = make_device(left, LEFT, RIGHT), make_device(right, RIGHT, LEFT)
    say(_FIRST_LINE)
    Shaper(*ends, *(seed or [0])).run()


if __name__ == "__main__":
    main()
