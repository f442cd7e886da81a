"""Measures this PC's uplink with a server of either kind."""

import threading

from devices.uplink import iperf3, librespeed
from devices.uplink.model import Budget, Tell, Uplink
from devices.uplink.server import Server


def measure(server: Server, budget: Budget, stop: threading.Event, tell: Tell) -> Uplink:
    """Return the result within 20 s. Raises NetworkTrouble, and Stopped soon after `stop` is set."""
    measure_with = iperf3.measure if server.scheme == "iperf3" else librespeed.measure
    return measure_with(server, budget, stop, tell)
