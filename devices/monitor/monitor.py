"""Watches for plugs and unplugs: one look at the start, and one after each burst of kernel messages.

A camera's nodes appear up to 0.4 s apart, so a burst ends after that much silence; after unplugs alone, sooner. A
device that hangs costs half a second, once.
"""

import contextlib
import errno
import os
import select
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pyudev

from devices.health.log_line import PC, HealthLogger, LogKind, LogLevel
from devices.host import threads
from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS, Clock
from devices.kernel.udev import PlugCache, has_udev, read_udev_devices
from devices.model.device import Device
from devices.monitor.change_detector import ChangeDetector
from devices.monitor.device_changes import DeviceChange, DeviceSnapshot, make_snapshot
from devices.monitor.known_devices import KnownDevices, known_store
from devices.monitor.modes import CapabilityProber
from devices.monitor.snapshot import make_devices, nodes_in_use, nodes_open_elsewhere
from devices.monitor.use_watcher import DeviceUseWatcher

SUBSYSTEMS = ("video4linux", "sound", "usb")
_MAX_MESSAGES = 1000

type HotplugEvent = tuple[str, str | None]
"""An action ("add", "remove", "change", "bind"), and the port if of a whole plug."""

UNPLUGGING = frozenset({"remove", "unbind"})  # actions of something that disappears
EVENTS_LOST: HotplugEvent = ("lost", None)  # stands for messages lost in an overflow of the socket


class HotplugListener:
    """Messages about devices, from udev where it runs, else from the kernel. Only `wake` is thread-safe."""

    def __init__(self, monitor: pyudev.Monitor | None = None) -> None:
        self._monitor = _listen() if monitor is None else monitor
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = threading.Lock()
        self._poll = select.poll()
        for fd in (self._monitor.fileno(), self._woken):
            self._poll.register(fd, select.POLLIN)

    def wait(self, timeout_s: float | None) -> list[HotplugEvent]:
        """Return new messages, waiting up to `timeout_s` (None: forever); none after a timeout or `wake`."""
        ready = dict(self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._woken)
        return self._received() if ready.keys() - {self._woken} else []

    def _received(self) -> list[HotplugEvent]:
        found: list[HotplugEvent] = []
        for _ in range(_MAX_MESSAGES):
            try:
                device = self._monitor.poll(0)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                found.append(EVENTS_LOST)
                continue
            if device is None:
                break
            is_plug = device.subsystem == "usb" and device.device_type == "usb_device"
            found.append((device.action or "", device.sys_name if is_plug else None))
        return found

    def wake(self) -> None:
        """Let the present or next `wait` return at once."""
        with self._closing:
            if self._woken >= 0:
                os.eventfd_write(self._woken, 1)

    def close(self) -> None:
        """Close the eventfd; the netlink socket closes with its last reference. Idempotent."""
        with self._closing:
            if self._woken < 0:
                return
            os.close(self._woken)
            self._woken = -1
            del self._monitor


def _listen() -> pyudev.Monitor:
    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="udev" if has_udev() else "kernel")
    for subsystem in SUBSYSTEMS:
        monitor.filter_by(subsystem)
    monitor.start()
    return monitor


SETTLED_S = 0.45
GONE_S = 0.1
LATEST_S = 1.0  # the latest look after a burst's first message
_RETRY_S = 1.0  # after a failed look, or when netlink failed
_FAILURES = 5  # failed looks in a row before the log says so: devices may vanish during any look
_STOPS_S = 5.0
_ANSWERS_S = 0.5  # for all nodes of a look together
_CONFIRMED_S = 2.0  # between two looks at the file of swap confirmations

type OnChange = Callable[[DeviceChange], None]
type TakeSnapshot = Callable[[], DeviceSnapshot]  # takes a second at most if a device hangs; may raise anything


def local_scanner(on_late: Callable[[], None], use: DeviceUseWatcher | None = None) -> TakeSnapshot:
    """Return a look at this PC. `on_late`: a device answered after its deadline; `use` receives the nodes' holders."""
    prober = CapabilityProber(timeout_s=_ANSWERS_S, late=on_late)
    plugs: PlugCache = {}

    def look() -> DeviceSnapshot:
        found = read_udev_devices(known=plugs)
        offers, held = prober.offers(found.pictures), nodes_open_elsewhere(found)
        used = nodes_in_use(found, held)
        if use is not None:
            use.update(found, held, used)
        return make_snapshot(found, make_devices(found, offers, used))

    return look


class DeviceMonitor:
    """Reports each plug, unplug, move and change to `on_change` and to the health log.

    `on_change` runs on the monitor's thread and must not block. `memory` is the file of KnownDevices (None: this PC's).
    Other programs' use is known from the last look; with `follows_use`, within seconds.
    """

    def __init__(
        self,
        on_change: OnChange,
        clock: Clock,
        record: HealthLogger,
        *,
        memory: Path | None = None,
        look: TakeSnapshot | None = None,
        events: Callable[[], HotplugListener] = HotplugListener,
        follows_use: bool = False,
    ) -> None:
        self._on_change = on_change
        self._clock = clock
        self._record = record
        self._use = DeviceUseWatcher(self.refresh) if follows_use else None
        self._look = look or local_scanner(self.refresh, self._use)
        self._open_events = events
        self._observer = ChangeDetector(clock=clock, record=record, known=KnownDevices(known_store(memory)))
        self._shown: tuple[Device, ...] = ()
        self._events: HotplugListener | None = None
        self._following = BackgroundTask(
            "device-monitor", self._follow, pause=_RETRY_S, failed=self._failed, over=self._finish, clock=clock
        )
        self._refreshing = threading.Event()
        self._unplugs: Counter[str] = Counter()
        self._retry_ns: int | None = None
        self._failures = 0
        self._fatal_error: Exception | None = None

    def start(self) -> None:
        """Take the first look and start the thread. Raises OSError without netlink."""
        self._events = self._open_events()
        self._observer.begin(self._take_look() or DeviceSnapshot())
        self._shown = self._observer.devices
        self._following.start()
        if self._use is not None:
            self._use.start()

    def stop(self) -> None:
        """Stop the thread; then no listener is called.

        A look or listener that hangs is abandoned after 5 s. Idempotent.
        """
        self._following.stop()
        self._wake()
        self._following.join(_STOPS_S)
        if self._use is not None:
            self._use.stop()

    @property
    def is_watching(self) -> bool:
        """Whether its thread runs."""
        return self._following.is_alive

    def devices(self) -> tuple[Device, ...]:
        """Return the plugged-in devices: cameras and capture cards, then microphones."""
        return self._shown

    def refresh(self) -> None:
        """Take a look soon: another process may hold a device now."""
        self._refreshing.set()
        self._wake()

    def _wake(self) -> None:
        if self._events is not None:
            self._events.wake()

    # On the monitor's thread

    def _finish(self) -> None:
        if self._events is not None:
            self._events.close()
        self._observer.save(at_end=True)
        if self._fatal_error is not None:  # its owner starts the watch again
            raise self._fatal_error

    def _failed(self, error: Exception) -> None:
        if self._events is not None:  # else netlink is gone, and the next run opens it again
            self._fatal_error = error
            self._following.stop()

    def _follow(self) -> bool:
        burst: list[HotplugEvent] = []
        if self._events is None:
            self._events, burst = self._open_events(), [EVENTS_LOST]
        events = self._events
        while not self._following.stopped.is_set():
            self._unplugs.update(port for action, port in burst if action == "remove" and port)
            is_due = self._retry_ns is not None and self._clock.now_ns() >= self._retry_ns
            if burst or self._refreshing.is_set() or is_due:
                self._refreshing.clear()
                if seen := self._take_look():
                    unplugs, self._unplugs = self._unplugs, Counter()
                    self._tell(self._observer.observe(seen, unplugs))
            self._tell(self._observer.tick())
            self._observer.save()
            burst = self._burst(events)
        return True

    def _burst(self, events: HotplugListener) -> list[HotplugEvent]:
        """Wait for the next burst; return no messages after a timeout or `wake`."""
        try:
            return self._gather(events, events.wait(self._timeout_s()))
        except OSError:
            self._events = None
            events.close()
            raise

    def _timeout_s(self) -> float | None:
        moments = [moment for moment in (self._observer.due_ns(), self._retry_ns) if moment is not None]
        waits = [(moment - self._clock.now_ns()) / NANOSECONDS for moment in moments]
        if self._observer.awaits_confirmation:
            waits.append(_CONFIRMED_S)
        return max(0.0, min(waits)) if waits else None

    def _gather(self, events: HotplugListener, burst: list[HotplugEvent]) -> list[HotplugEvent]:
        began_ns = last_ns = self._clock.now_ns()
        while burst and not self._following.stopped.is_set():
            quiet_s = GONE_S if all(action in UNPLUGGING for action, _ in burst) else SETTLED_S
            until_ns = min(last_ns + int(quiet_s * NANOSECONDS), began_ns + int(LATEST_S * NANOSECONDS))
            left_s = (until_ns - self._clock.now_ns()) / NANOSECONDS
            if left_s <= 0:
                break
            if more := events.wait(left_s):
                burst += more
                last_ns = self._clock.now_ns()
        return burst

    def _take_look(self) -> DeviceSnapshot | None:
        """Return the plugged-in devices; None after a failed look, which is repeated later."""
        try:
            seen = self._look()
        except Exception as error:  # a driver's answer must not end the watch
            self._retry_ns = self._clock.now_ns() + int(_RETRY_S * NANOSECONDS)
            self._failures += 1
            if self._failures == _FAILURES:
                reason = f"devices cannot be listed: {error or type(error).__name__}"
                self._record(PC, LogKind.WATCH_STOPPED, reason, level=LogLevel.WARN)
            return None
        self._retry_ns, self._failures = None, 0
        return seen

    def _tell(self, changes: Iterable[DeviceChange]) -> None:
        self._shown = self._observer.devices
        for change in changes:
            if self._following.stopped.is_set():
                return
            try:
                self._on_change(change)
            except Exception:  # a listener that fails must not end the watch
                threads.report_error()
