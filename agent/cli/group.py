"""The `liput` command: finds the subcommand, and turns each error into one line and an exit status."""

import contextlib
import io
import os
import sys

# numpy's BLAS starts unused threads at import, one per core; the variable must be set before.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click

from agent.cli.interrupts import end_silently
from agent.cli.lazy import CommandTable, LazyGroup
from agent.features import FEATURES
from agent.terminal.terminal import PrintableOutput
from config.errors import LiputError, as_liput_error
from config.version import VERSION

COMMANDS: CommandTable = {
    "arm": ("agent.commands.session.record", "Open the devices and keep the last seconds in memory."),
    "archive": ("agent.commands.archive.group", "Find, verify and maintain recorded sessions."),
    "check": ("agent.commands.check", "Check whether the room is ready, and list the fixes."),
    "conference": ("agent.commands.conference", "Set up a virtual camera and microphone, as for Zoom."),
    "config": ("agent.commands.config", "Show the settings in force, and check a settings file."),
    "demo": ("agent.commands.session.demo", "Record ten synthetic seconds, without any hardware."),
    "destination": ("agent.commands.session.destination", "Add, remove and show live destinations of a session."),
    "devices": ("agent.commands.devices.group", "List and set up cameras, capture cards and microphones."),
    "disarm": ("agent.commands.session.running", "Close the devices of an armed session."),
    "headroom": ("agent.commands.headroom", "Measure whether this PC can run a second encode."),
    "health": ("agent.commands.health", "Show the log of faults and changes of devices."),
    "layout": ("agent.commands.session.running", "Change the layout of a running session."),
    "mark": ("agent.commands.session.running", "Add a mark to the recording, now."),
    "mute": ("agent.commands.session.running", "Mute a sound input of a running session, or all."),
    "recover": ("agent.commands.session.recover", "Finish sessions that a crash left unfinished."),
    "rehearse": ("agent.commands.session.rehearse", "Record ten seconds as a test, and report its quality."),
    "serve": ("agent.commands.serve", "Run the daemon: page, schedule, recovery, copies, alarms."),
    "service": ("agent.commands.service", "Run `liput serve` under systemd."),
    "record": ("agent.commands.session.record", "Record, stream and archive a session."),
    "start": ("agent.commands.session.running", "Start to record the armed session, with pre-roll if given."),
    "status": ("agent.commands.session.status", "Show the running sessions and their state."),
    "token": ("agent.commands.token", "Show the token for the page and its API."),
    "stop": ("agent.commands.session.running", "End a session and archive it."),
    **{name: command for feature in FEATURES.values() for name, command in feature.commands.items()},
}

EXAMPLES = """\b
Examples:
  liput                                       open the page
  liput demo                                  record without any hardware
  liput devices                               list cameras, capture cards and microphones
  liput check                                 check whether the room is ready
  liput rehearse                              record ten seconds as a test, and remove them
  liput health --since 2d                     the log of devices for two days
  liput record --title "Rapat senat"          record until q or Ctrl-C
  liput record --title "Wisuda" --stream youtube --for 2h
  liput arm --title "Rapat senat"             open the devices; then: liput start, liput mark "...", liput stop
  liput status                                show running sessions
  liput destination add youtube               stream a running session; also: remove, restart, status
{features}  liput service install --now                 run `liput serve` under systemd
  liput archive verify --all                  compare every recording with its checksums
""".format(features="".join(f"  {feature.example}\n" for feature in FEATURES.values() if feature.example))


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=EXAMPLES,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--no-browser", is_flag=True, help="Without a command: print the page's address only.")
@click.version_option(VERSION, prog_name="liput")
@click.pass_context
def liput(ctx: click.Context, *, no_browser: bool) -> None:
    """Record, stream and archive sessions in a conference room.

    Without a command, Liput opens its page in the browser. It starts the daemon (liput serve) if none runs.

    Messages name pages such as docs/live.md. An installed Liput has them below share/doc/liput of its environment.
    """
    if ctx.invoked_subcommand is not None:
        if no_browser:
            raise click.UsageError("--no-browser goes with no command.", ctx)
        return
    from agent.cli.open_page import open_page

    open_page(with_browser=not no_browser)


def run() -> None:
    _make_output_printable()
    try:
        status = liput.main(prog_name="liput", standalone_mode=False)
    except click.exceptions.Exit as ended:
        status = ended.exit_code
    except click.ClickException as error:
        report(LiputError(error.format_message(), hint=advice(error)), as_json="--json" in sys.argv)
        status = 2
    except click.Abort:
        status = 1
    except LiputError as error:
        report(error, as_json="--json" in sys.argv)
        status = error.exit_status
    except BrokenPipeError:
        status = 1
    except Exception as error:  # a bug: its place in the code instead of a traceback
        from agent.terminal.redact import redactor

        told = as_liput_error(error)
        report(LiputError(redactor()(told.message), hint=told.hint), as_json="--json" in sys.argv)
        status = told.exit_status
    end_silently()
    _flush_output()
    sys.exit(status if isinstance(status, int) else 0)


def _make_output_printable() -> None:
    """Strip control characters of titles and device names from output, and replace unencodable ones."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, PrintableOutput(stream))


def _flush_output() -> None:
    """Flush output; a reader that has gone is no error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def advice(error: click.ClickException) -> str:
    """Return the hint for a wrong use of a command."""
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'liput'} --help says how it is used"


def report(error: LiputError, *, as_json: bool) -> None:
    """Print an error and its hint on standard error; with `--json`, also an object on standard output."""
    if as_json:
        import msgspec

        from recorder.model.names import utf8_safe

        told = {"message": error.message, "hint": error.hint, "why": error.why, "about": error.about}
        line = {"type": "error"} | {name: utf8_safe(text) for name, text in told.items()}
        print(msgspec.json.encode(line).decode(), flush=True)
    print(f"liput: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"       {error.hint}", file=sys.stderr)
