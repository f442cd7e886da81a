"""Streams noise to the address on its standard input until that ends: a test starts this within a namespace.

Every 0.25 s a line of JSON on standard output: seconds, reason, dropped, backlog_s, and rtt_ms, unsent_bytes,
delivered_bps of the link.
"""

import json
import sys
import threading
import time

from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.live.destination import LiveDestination
from tests.support.encoded import SmallEncoder
from tests.support.live import Events, Pump


def main() -> None:
    address, bit_rate = sys.stdin.readline().split()
    encoder, began = SmallEncoder(60, noise=True, bit_rate=int(bit_rate)), time.monotonic()
    destination = LiveDestination(
        StreamTarget("x", secret_url(address)), encoder.templates, emit=Events(), clock=SystemClock()
    )
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    destination.start()
    with Pump(encoder, destination):
        while not ended.wait(0.25):
            status, attempt = destination.status(), destination._attempt
            link = attempt.link if attempt else None
            told = [link.rtt_ms, link.unsent_bytes, link.delivered_bps] if link else [None, 0, None]
            line = [time.monotonic() - began, status.reason, status.dropped, status.backlog_s, *told]
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    destination.stop()
    encoder.close()


if __name__ == "__main__":
    main()
