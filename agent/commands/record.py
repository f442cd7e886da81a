"""`liput record`: a session from the command line."""

from pathlib import Path

import click

from agent.asking import specify
from agent.parameters import seconds
from agent.reporters import reporter
from agent.run_recorder import RecorderRun
from config.errors import UsageError
from recorder.asked import Asked

EXAMPLES = """\b
Examples:
  liput record --title "Rapat senat"                     the best camera or capture card, until q or Ctrl-C
  liput record --title "Wisuda" --video 1-2 --stream youtube --for 2h
  liput record --title "Uji" --video synthetic --for 10s --json
  liput record --title "Salinan" --video kuliah.mkv --pace fast
\b
Exit status: 0 recorded and complete; 3 recorded, but something was lost on the way (it is said what);
1 failed; 2 wrong usage.
"""


@click.command(epilog=EXAMPLES)
@click.option("--title", required=True, help="What the session is; names the package.")
@click.option(
    "--video", metavar="DEVICE|screen|synthetic|FILE", help="Where the picture comes from.  [default: the best]"
)
@click.option(
    "--audio",
    metavar="DEVICE|synthetic|FILE|none",
    help="Where the sound comes from.  [default: the picture's, or the best]",
)
@click.option(
    "--for", "duration_s", callback=seconds, metavar="TIME", help="How long: 90s, 1h30m.  [default: until stopped]"
)
@click.option(
    "--pace",
    type=click.Choice(["real", "fast"]),
    default="real",
    show_default=True,
    help="fast: a file or synthetic source as fast as it goes.",
)
@click.option(
    "--stream", "streams", metavar="NAME|@FILE", multiple=True,
    help="A destination of the settings, or a 0600 file with a URL; repeatable.",
)  # fmt: skip
@click.option("--profile", metavar="NAME", help="Size, rate and bit rates (liput config show).")
@click.option("--archive", type=click.Path(path_type=Path), metavar="DIR", help="The archive folder.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="The settings file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; see docs/reference/cli.md.")
def record_command(
    title: str,
    video: str | None,
    audio: str | None,
    duration_s: float | None,
    pace: str,
    streams: tuple[str, ...],
    profile: str | None,
    archive: Path | None,
    config_file: Path | None,
    *,
    as_json: bool,
) -> int:
    """Record a session, stream it, and put it into the archive.

    Ends after --for, at the end of a file, with q, Ctrl-C or SIGTERM; the recording is then closed,
    hashed and moved into the archive. Pressing Ctrl-C again changes nothing and loses nothing.
    """
    if not title.strip():
        raise UsageError("the title is empty", hint='say what the session is: --title "Rapat senat"')
    asked = Asked(
        title=title,
        videos=(video,) if video is not None else (),
        audios=(audio,) if audio is not None else (),
        duration_s=duration_s,
        live=pace == "real",
        streams=streams,
        profile=profile,
        archive=archive,
    )
    return RecorderRun(specify(asked, config_file)).run(reporter(as_json=as_json))
