"""A minute of 1080p30 in real time, recorded and streamed to one RTMP server: every picture is in the MP4."""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent.sessions.receiver import DemoReceiver
from tests.support import command, media

RATE = 30


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Record a minute, or `--seconds`."""
    return run(arguments.seconds or 60)


def run(seconds: float, profile: str = "1080p30") -> Mapping[str, object]:
    """Record and stream `seconds` of synthetic picture and sound, and count what arrived."""
    with tempfile.TemporaryDirectory(prefix="liput-minute-") as name, DemoReceiver(Path(name) / "rx") as receiver:
        folder = Path(name)
        assert receiver.url
        address = folder / "address"
        address.write_text(receiver.url)
        address.chmod(0o600)
        options = ("--title", "Minute", "--video", "synthetic", "--for", f"{seconds}s", "--profile", profile)
        with command.running(
            folder, "record", *options, "--archive", folder / "archive", "--stream", f"@{address}", "--json"
        ) as session:
            result = session.until("result")
            status = command.of_type(session.seen, "status")
            code = session.wait()
        program = Path(str(result["package"])) / "data" / "media" / "program.mp4"
        recorded = media.decoded(program, "v").frames
        receiver.stop()
        received = receiver.received
        streamed = media.decoded(received, "v").frames if received else 0
        media.decodes_cleanly(program)
    expected = round(seconds * RATE)
    dropped = int(str(status[-1]["dropped"]))
    return {
        "profile": profile,
        "frames_expected": expected,
        "frames_in_mp4": recorded,
        "dropped": dropped,
        "repeated": int(str(status[-1]["repeated"])),
        "frames_at_the_server": streamed,
        "exit_status": code,
        "holds": recorded == expected and dropped == 0 and code == 0,
    }
