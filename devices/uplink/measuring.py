"""Measuring the uplink of this PC with a server, whatever kind of server it is."""

import threading

from devices.uplink import iperf3, librespeed
from devices.uplink.model import Budget, Tell, Uplink
from devices.uplink.server import Server


def measure(server: Server, budget: Budget, stop: threading.Event, tell: Tell) -> Uplink:
    """Return how the uplink is, at most 20 s later. Raises NetworkTrouble, and Stopped soon after `stop` was set."""
    measure_with = iperf3.measure if server.scheme == "iperf3" else librespeed.measure
    return measure_with(server, budget, stop, tell)
