"""`liput arm`: a session whose devices are open and whose last seconds are kept, ready to be started."""

from pathlib import Path

import click

from agent.commands.session.running import say, say_line
from agent.sessions.options import session_options, with_slates
from agent.sessions.steering import line_of, until_armed
from recorder.control.spawn import Spawned
from recorder.control.spec import Spec
from recorder.running.find import session
from recorder.session.request import Asked

EXAMPLES = """\b
Examples:
  liput arm --title "Rapat senat"                 open the devices, keep the last 30 s
  liput start --pre-roll 15s                      record, from 15 s ago
  liput mark "Tanya jawab"; liput stop
  liput arm --title "Sesi 2" --video podium --stream youtube --for 2h
\b
Exit status: 0 armed; 1 failed; 2 wrong usage.
"""


@click.command(epilog=EXAMPLES)
@session_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def arm_command(asked: Asked, config_file: Path | None, *, as_json: bool) -> int:
    """Open the devices of a session and keep its last seconds, without recording it yet.

    The session goes on in a process of its own: `liput start` records, `liput disarm` lets the devices go.
    The next session may be armed while the last one is sealed.
    """

    def begin(spec: Spec) -> int:
        spawned = Spawned(spec)
        try:
            folder = spawned.ready()
            until_armed(folder)
        except BaseException:
            spawned.terminate()
            raise
        for note in spawned.notes:
            say(note, as_json=as_json)
        found = session(folder.id, ())
        for trouble in found.status.troubles if found.status else ():
            say(f"! {trouble}", as_json=as_json)
        say_line(line_of(found), f"Armed: {found}. liput start records it.", as_json=as_json)
        return 0

    return with_slates(asked, config_file, begin, arm_only=True)
