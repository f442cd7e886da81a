"""`liput arm` and `liput record`: begin a session from the command line."""

from pathlib import Path

import click
import msgspec

from agent.sessions.control import line_of, until_armed
from agent.sessions.options import begin_or_ask, session_options
from agent.sessions.run_recorder import RecorderRun
from agent.terminal.parameters import json_lines_option, json_option, print_result
from agent.terminal.reporters import reporter
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.running.client import select_session
from recorder.session.request import SessionRequest

ARM_EXAMPLES = """\b
Examples:
  liput arm --title "Rapat senat"                 open the devices, keep the last 30 s
  liput start --pre-roll 15s                      record, from 15 s ago
  liput mark "Tanya jawab"; liput stop
  liput arm --title "Sesi 2" --video podium --stream youtube --for 2h
\b
Exit status: 0 armed; 1 failed; 2 wrong usage.
"""


@click.command(epilog=ARM_EXAMPLES)
@session_options
@json_option
def arm_command(asked: SessionRequest, config_file: Path | None, *, as_json: bool) -> None:
    """Open the devices of a session and keep its last seconds in memory, without recording.

    The session runs in its own process. `liput start` records; `liput disarm` closes the devices. The next session can
    be armed while the last one is sealed.
    """

    def begin(spec: RecorderSpec) -> None:
        spawned = SpawnedRecorder(spec)
        try:
            folder = spawned.ready()
            until_armed(folder)
        except BaseException:
            spawned.terminate()
            raise
        for note in spawned.notes:
            click.echo(note, err=as_json)
        found = select_session(folder.id, ())
        for trouble in found.status.troubles if found.status else ():
            click.echo(f"! {trouble}", err=as_json)
        print_result(line_of(found), f"Armed: {found}. liput start records it.", as_json=as_json)

    begin_or_ask(asked, config_file, begin, arm_only=True)


RECORD_EXAMPLES = """\b
Examples:
  liput record --title "Rapat senat"                     the best camera or capture card, until q or Ctrl-C
  liput record --title "Wisuda" --video 1-2 --stream youtube --for 2h
  liput record --title "Seminar" --video slides --video podium --layout pip --isolate
  liput record --title "Uji" --video synthetic --for 10s --json
  liput record --title "Salinan" --video kuliah.mkv --pace fast
  liput record --title "Uji" --for 1m --profile-stages    also measure the load of this PC's processor
\b
Exit status: 0 recorded and complete; 3 recorded with losses, which the output lists; 1 failed; 2 wrong usage.
"""


@click.command(epilog=RECORD_EXAMPLES)
@session_options
@click.option(
    "--pace",
    type=click.Choice(["real", "fast"]),
    default="real",
    show_default=True,
    help="fast: process a file or synthetic source at full speed.",
)
@click.option("--profile-stages", is_flag=True, help="At the end, print the processor time of each stage and thread.")
@json_lines_option
def record_command(asked: SessionRequest, config_file: Path | None, pace: str, *, as_json: bool) -> int:
    """Record, stream and archive a session.

    The session ends after --for, at the end of a file, or by q, Ctrl-C or SIGTERM. Liput then closes the recording,
    hashes it and moves it into the archive. A second Ctrl-C has no effect.
    """
    asked = msgspec.structs.replace(asked, live=pace == "real")
    return begin_or_ask(asked, config_file, lambda spec: RecorderRun(spec).run(reporter(as_json=as_json)))
