"""The daemon's watch of devices over ports of a test's own: messages of the kernel replayed, and what is there then."""

from devices.health.log_line import HealthLogger
from devices.host.clock import Clock
from devices.kernel.udev import UsbDevice
from devices.monitor.device_changes import DeviceSnapshot
from devices.monitor.monitor import DeviceMonitor, HotplugListener, OnChange
from tests.support.ports import Message, Netlink, PortRoom


class Ports:
    """Opens real monitors that hear of these ports; `looks` counts how often what is plugged in was looked at."""

    def __init__(self) -> None:
        self.room = PortRoom(sounding=())
        self.netlink = Netlink()
        self.looks = 0
        self.opened = 0

    def monitor(self, on_change: OnChange, clock: Clock, record: HealthLogger) -> DeviceMonitor:
        self.opened += 1
        return DeviceMonitor(on_change, clock=clock, record=record, look=self._look, events=self.events)

    def events(self) -> HotplugListener:
        return HotplugListener(self.netlink)

    def _look(self) -> DeviceSnapshot:
        self.looks += 1
        return self.room.look()

    def plug(self, usb: UsbDevice, port: str) -> None:
        """Plug something in, and send what udev sends then."""
        self.room.plug(usb, port)
        self.netlink.put(Message("add", sys_name=port))
        self.netlink.put(Message("add", "video4linux", None, "video0"))

    def unplug(self, port: str) -> None:
        self.room.unplug(port)
        self.netlink.put(Message("remove", sys_name=port))
