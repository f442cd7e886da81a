"""The stream key is in no process list, environment, event, status or output; and no child outlives its parent."""

import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import psutil
import pytest

from devices.clock import SystemClock
from recorder.live.destination import LiveDestination
from tests.support.encoded import SmallEncoder
from tests.support.live import Events, Pump
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.tls_front import TlsFront
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

SECRET = "gUARDED-w0rd"
ROOT = Path(__file__).parents[3]

PARENT = """
import sys, threading
from devices.clock import SystemClock
from recorder.live.destination import LiveDestination
from tests.support.encoded import SmallEncoder
from tests.support.live import Events, Pump

encoder = SmallEncoder()
destination = LiveDestination(
    "x", sys.stdin.readline(), templates=encoder.templates, emit=Events(), clock=SystemClock()
)
destination.start()
with Pump(encoder, destination):
    threading.Event().wait()
"""


def _seen_by_others(process: psutil.Process) -> bytes:
    """Return what /proc shows of a process and its threads' names."""
    folder = Path(f"/proc/{process.pid}")
    names = [*folder.glob("task/*/comm"), *(folder / name for name in ("cmdline", "environ", "comm"))]
    links = [str(link.readlink()) for link in (folder / "fd").iterdir()]
    return b" ".join(name.read_bytes() for name in names) + " ".join(links).encode()


def test_the_key_shows_nowhere(
    server: NginxRtmp, encoder: SmallEncoder, events: Events, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    front = TlsFront(tmp_path / "front", server.port)
    addresses = {
        server.url(f"good-{SECRET}"): "live",
        server.url(SECRET): "rejected",
        server.url("good", SECRET): "rejected",
        front.url(f"good-{SECRET}"): "certificate",
        f"rtmp://user:{SECRET}@hall.invalid/live/{SECRET}": "unknown-host",
        f"rtmp://hall.invalid/{SECRET}/good": "unknown-host",
    }
    destinations = [
        LiveDestination(f"d{number}", url, templates=encoder.templates, emit=events, clock=SystemClock())
        for number, url in enumerate(addresses)
    ]
    seen = b""
    with Pump(encoder, *destinations):
        for destination, expected in zip(destinations, addresses.values(), strict=True):
            destination.start()
            if expected == "live":
                wait_for(lambda: destinations[0].status().state == "live")
                [child] = [child for child in psutil.Process().children() if "recorder.live.child" in child.cmdline()]
                seen = _seen_by_others(child)
            else:
                wait_for(lambda: destination.status().reason is not None)  # noqa: B023 - called in this turn
                assert destination.status().reason == expected
    for destination in destinations:
        destination.stop()
    front.stop()
    assert b"recorder.live.child" in seen
    assert SECRET.encode() not in seen
    assert SECRET not in repr([destination.status() for destination in destinations])
    assert SECRET not in repr(events.seen)
    assert SECRET not in repr([vars(destination) for destination in destinations])
    assert SECRET not in "".join(capfd.readouterr())


def test_no_child_outlives_a_killed_parent(server: NginxRtmp) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdin
    parent.stdin.write(server.url("good") + "\n")
    parent.stdin.flush()
    wait_for(lambda: server.recordings() and server.recordings()[0].stat().st_size > 20_000)
    [child] = psutil.Process(parent.pid).children()
    server.freeze()  # so that the child is not ended by anything it could send or hear
    child.suspend()  # nor by anything it could do itself
    parent.send_signal(SIGKILL)
    parent.wait()
    parent.stdin.close()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child's end")
