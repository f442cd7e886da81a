"""Measures with a LibreSpeed backend: empty.php accepts data, garbage.php sends noise."""

import threading
from functools import partial

from devices.uplink.connecting import Cancelled, Deadline, NetworkError, NetworkFault
from devices.uplink.connection import ServerConnector, UplinkConnection, UplinkServer
from devices.uplink.http import FIRST_ERROR, PipelinedResponses, is_html, portal_of, read_head, read_whole, request
from devices.uplink.model import UplinkBudget, UplinkProgress, UplinkResult
from devices.uplink.traffic import (
    IDLED,
    REACHED,
    TO_ANSWER_S,
    UP,
    ByteAllowance,
    TrafficStream,
    combined_result,
    fill_link,
    idle_latency,
    noise,
    phase_progress,
)

POST_BYTES = 20_000_000  # as LibreSpeed's own page posts; servers are configured for it
GARBAGE_MB = 100
REACH_S = 7.0


def _upload(way: ServerConnector, over: threading.Event, allowance: ByteAllowance) -> TrafficStream:
    """Return a stream of pipelined POSTs of noise: waiting for each answer slows a long, lossy link down."""
    head = request(
        "POST",
        f"{way.server.path}/empty.php",
        way.server.where,
        "Content-Type: application/octet-stream",
        "Content-Encoding: identity",
        f"Content-Length: {POST_BYTES}",
    )

    def send(stream: TrafficStream, channel: UplinkConnection, patience: Deadline) -> None:
        answers, count = PipelinedResponses(channel), 0
        try:
            while answers.keeps_open:
                for data in (memoryview(head), *noise(POST_BYTES)):
                    stream.give(channel, data, patience, answers.look)  # some servers answer early
                count += 1
                answers.wait_for(count - 1, patience)
        except Cancelled:
            if allowance.is_used_up and channel.wait(Deadline.of(TO_ANSWER_S / 2, threading.Event())):
                answers.look()  # the server may have refused the data
            raise

    return TrafficStream(way.open, send, over, allowance, sends=True)


def _download(way: ServerConnector, over: threading.Event, allowance: ByteAllowance) -> TrafficStream:
    head = request("GET", f"{way.server.path}/garbage.php?ckSize={GARBAGE_MB}", way.server.where, "Connection: close")

    def take(stream: TrafficStream, channel: UplinkConnection, patience: Deadline) -> None:
        channel.send_all(head, patience)
        answer = read_head(channel, patience, stream.take)
        answer.refuse_error()
        stream.received(len(answer.body))
        stream.take_all(channel, patience)

    return TrafficStream(way.open, take, over, allowance, sends=False)


def measure(server: UplinkServer, budget: UplinkBudget, stop: threading.Event, tell: UplinkProgress) -> UplinkResult:
    """Measure both directions, and the latency, within 20 s. Raises NetworkError and, soon after `stop`, Cancelled."""
    tell("reach", 0.0, None)
    patience = Deadline.of(REACH_S, stop)
    way = ServerConnector(server, patience)
    check_server(way, patience)
    tell("idle", REACHED, None)
    idle = idle_latency(way.addresses, budget, stop)
    up_tell, down_tell = phase_progress(tell, "up", IDLED, UP), phase_progress(tell, "down", UP, 1.0)
    uploads, downloads = [partial(_upload, way)] * budget.streams, [partial(_download, way)] * budget.streams
    up = fill_link(way.addresses, uploads, budget.up_s, budget.up_bytes, budget.warm_up_s, stop, up_tell)
    left = budget.most_bytes - up.total_bytes
    down = fill_link(way.addresses, downloads, budget.down_s, left, budget.warm_up_s, stop, down_tell)
    return combined_result(up, down, idle, budget)


def check_server(way: ServerConnector, patience: Deadline) -> None:
    """Check that a LibreSpeed server answers. Raises NetworkError and Cancelled."""
    server = way.server
    with way.open(patience) as channel:
        channel.send_all(request("GET", f"{server.path}/empty.php", server.where, "Connection: close"), patience)
        answer = read_whole(channel, patience.step())
    if (who := portal_of(answer, server.host)) is not None:
        raise NetworkError(NetworkFault.PORTAL, who)
    if answer.status < FIRST_ERROR and is_html(answer):
        raise NetworkError(NetworkFault.PORTAL)
    if answer.status not in range(200, 300):
        raise NetworkError(NetworkFault.FOREIGN, str(answer.status))
