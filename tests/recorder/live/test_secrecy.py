"""No key, passphrase or stream id is in a process list, event, status or output; and no child outlives its parent."""

import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import psutil
import pytest

from agent.sessions.receiver import HOST
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.live.destination import LiveDestination
from recorder.live.url import REDACTED
from tests.support.encoded import SmallEncoder
from tests.support.processes import be_powerless_root, be_user, children, confined
from tests.support.rtmp_server import CHALLENGE, NEED_AUTH, NginxRtmp, ScriptedRtmp
from tests.support.servers import TlsFront
from tests.support.srt_peer import SrtPeer, free_udp_port
from tests.support.streams import Events, Pump, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

SECRET = "gUARDED-w0rd"
NOBODY = 65534
ROOT = Path(__file__).parents[3]

PARENT = """
import sys, threading
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.live.destination import LiveDestination
from tests.support.encoded import SmallEncoder
from tests.support.streams import Events, Pump

encoder = SmallEncoder()
target = StreamTarget("x", secret_url(sys.stdin.readline()))
destination = LiveDestination(target, encoder.templates, emit=Events(), clock=SystemClock())
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
    ports = free_udp_port(), free_udp_port()
    relays = [
        SrtPeer(tmp_path / f"{port}.ts", port, "listener", f"passphrase={word}")
        for port, word in zip(ports, (SECRET, "something else"), strict=True)
    ]
    for relay in relays:
        relay.start()
    addresses = {
        server.url(f"good-{SECRET}?token={SECRET}").replace("//", f"//user:{SECRET}@"): "live",
        f"srt://{HOST}:{ports[0]}?passphrase={SECRET}&streamid={SECRET}": "live",
        server.url(SECRET): "rejected",
        server.url("good", SECRET): "rejected",
        front.url(f"good-{SECRET}"): "certificate",
        f"rtmp://user:{SECRET}@hall.invalid/live/{SECRET}": "unknown-host",
        f"srt://{HOST}:{ports[1]}?passphrase={SECRET}&streamid={SECRET}": "rejected",
        f"srt://hall.invalid:9000?passphrase={SECRET}&streamid={SECRET}": "unknown-host",
        f"srt://{HOST}:{ports[1]}?mode=listener&passphrase={SECRET}&streamid={SECRET}": "failed",
    }
    destinations = [
        LiveDestination(
            StreamTarget(f"d{number}", secret_url(url)), encoder.templates, emit=events, clock=SystemClock()
        )
        for number, url in enumerate(addresses)
    ]
    seen = b""
    with Pump(encoder, *destinations):
        for destination, expected in zip(destinations, addresses.values(), strict=True):
            destination.start()
            if expected == "live":
                wait_for(lambda: destination.status().state == "live")  # noqa: B023 - called in this turn
                seen += b"".join(map(_seen_by_others, children()))
                assert {child.rlimit(psutil.RLIMIT_CORE) for child in children()} == {(0, 0)}
            else:
                wait_for(lambda: destination.status().reason is not None)  # noqa: B023 - called in this turn
                assert destination.status().reason == expected
    for destination in destinations:
        destination.stop()
    front.stop()
    for relay in relays:
        relay.stop(SIGKILL)
    assert b"recorder.live.child" in seen
    told = [(destination.status(), vars(destination)) for destination in destinations]
    assert SECRET not in repr([seen, told, events.seen]) + "".join(capfd.readouterr())


def test_a_server_that_quotes_a_login_is_redacted(
    encoder: SmallEncoder, events: Events, capfd: pytest.CaptureFixture[str]
) -> None:
    rude = f"reason=authfailed user u password {SECRET} key {SECRET}-key?token={SECRET}&pin={SECRET}2, token {SECRET}2"
    with ScriptedRtmp([NEED_AUTH, CHALLENGE, rude]) as server:
        url = f"rtmp://u:{SECRET}@{HOST}:{server.port}/live/{SECRET}-key?token={SECRET}&pin={SECRET}2"
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: destination.status().reason == "rejected")
            message = destination.status().message or ""
            seen = repr([destination.status(), vars(destination)])
    assert len(server.asked) == 3
    assert b"user=u" in server.asked[2]
    assert f"user u password {REDACTED} key {REDACTED}, token {REDACTED}" in message
    assert SECRET not in seen + repr(events.seen) + "".join(capfd.readouterr())


def test_others_of_the_same_user_cannot_look_into_it(server: NginxRtmp, encoder: SmallEncoder, events: Events) -> None:
    def run() -> None:
        with running(server.url(f"good-{SECRET}"), encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: (link := destination.link) and link.rtt_ms)
            [child] = children()
            for name in ("mem", "environ", "maps"):
                with pytest.raises(PermissionError):
                    Path(f"/proc/{child.pid}/{name}").read_bytes()

    confined(_give_up_rights, run)


def _give_up_rights() -> None:
    """Be nobody, for root may look into everything; where nobody may read this program, root without its powers."""
    if os.geteuid() != 0:
        return
    if all(folder.stat().st_mode & 0o005 == 0o005 for folder in (ROOT, *ROOT.parents)):
        be_user(NOBODY)
    else:
        be_powerless_root()


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
