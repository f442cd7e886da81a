"""`liput record`: a session from the command line."""

from pathlib import Path

import click
import msgspec

from agent.sessions.options import session_options, with_slates
from agent.sessions.run_recorder import RecorderRun
from agent.terminal.reporters import reporter
from recorder.session.request import Asked

EXAMPLES = """\b
Examples:
  liput record --title "Rapat senat"                     the best camera or capture card, until q or Ctrl-C
  liput record --title "Wisuda" --video 1-2 --stream youtube --for 2h
  liput record --title "Seminar" --video slides --video podium --layout pip --isolate
  liput record --title "Uji" --video synthetic --for 10s --json
  liput record --title "Salinan" --video kuliah.mkv --pace fast
  liput record --title "Uji" --for 1m --profile-stages    what this PC's processor is busy with
\b
Exit status: 0 recorded and complete; 3 recorded, but something was lost on the way (it is said what);
1 failed; 2 wrong usage.
"""


@click.command(epilog=EXAMPLES)
@session_options
@click.option(
    "--pace",
    type=click.Choice(["real", "fast"]),
    default="real",
    show_default=True,
    help="fast: a file or synthetic source as fast as it goes.",
)
@click.option(
    "--profile-stages", is_flag=True, help="Tell at the end what took how much of the processor: stages, threads."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; see docs/reference/cli.md.")
def record_command(asked: Asked, config_file: Path | None, pace: str, *, as_json: bool) -> int:
    """Record a session, stream it, and put it into the archive.

    Ends after --for, at the end of a file, with q, Ctrl-C or SIGTERM; the recording is then closed,
    hashed and moved into the archive. Pressing Ctrl-C again changes nothing and loses nothing.
    """
    asked = msgspec.structs.replace(asked, live=pace == "real")
    return with_slates(asked, config_file, lambda spec: RecorderRun(spec).run(reporter(as_json=as_json)))
