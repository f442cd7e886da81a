"""`liput demo`: the real pipeline with synthetic sources, without camera, sound card and network."""

import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from agent.sessions.control import make_spec
from agent.sessions.receiver import DemoReceiver
from agent.sessions.run_recorder import RecorderRun
from agent.terminal.parameters import config_option, duration_option, json_lines_option
from agent.terminal.reporters import reporter
from config.settings.quantities import brief_size
from config.settings.schema import load_settings
from config.settings.secrets import Secret, StreamTarget
from recorder.session.request import SessionRequest

TITLE, SYNTHETIC = "Demo Liput", "synthetic"
RESERVE_BYTES = 200_000_000  # reserve in the demo's own folder: /tmp is often small, and half of a small PC's memory


@click.command()
@duration_option("--for", "duration_s", "The duration: 10s, 2m.", default="10s")
@click.option("--profile", metavar="NAME", help="Picture size, frame rate, bit rates.  [default: from the settings]")
@click.option(
    "--archive", type=click.Path(path_type=Path), metavar="DIR", help="The archive folder.  [default: a new one, named]"
)
@config_option
@json_lines_option
def demo_command(
    duration_s: float, profile: str | None, archive: Path | None, config_file: Path | None, *, as_json: bool
) -> int:
    """Record a synthetic talk: slides, a speaker, speech.

    Encoder, recording and archive are the real ones. With nginx's RTMP module or ffmpeg installed, the demo also
    streams to a receiver on this PC. The received stream is deleted afterwards.
    """
    load_settings(config_file)  # report faulty settings before making anything
    shown = reporter(as_json=as_json)
    with ExitStack() as stack:
        folder = archive or Path(tempfile.mkdtemp(prefix="liput-demo-"))
        if archive is None:
            stack.callback(_remove_if_empty, folder)
        aside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="liput-receiver-")))
        receiver = stack.enter_context(DemoReceiver(aside))
        targets = [StreamTarget("demo-receiver", Secret(receiver.url))] if receiver.url else []
        if not targets:
            shown.note("No receiver is installed (nginx with its RTMP module, or ffmpeg): recording without a stream.")
        asked = SessionRequest(
            title=TITLE,
            videos=(SYNTHETIC,),
            audios=(SYNTHETIC,),
            duration_s=duration_s,
            profile=profile,
            archive=folder,
            reserve=RESERVE_BYTES if archive is None else None,
            targets=targets,
            practice=True,
        )
        run = RecorderRun(make_spec(asked, config_file))
        status = run.run(shown)
        receiver.stop()
        if targets:
            received = receiver.received
            arrived = f"{brief_size(received.stat().st_size)} arrived" if received else "nothing arrived"
            shown.note(f"Streamed to {receiver.name} on this machine: {arrived}.")
        if run.package:
            shown.note(f"Play it:  ffplay '{run.package}/data/media/program.mp4'   (or any player)")
            shown.note(f"Check it: {sys.argv[0]} archive verify --all --archive '{folder}'")
    return status


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
