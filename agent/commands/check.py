"""`liput check`: tests whether the room is ready for a session, and advises."""

from pathlib import Path

import click

from agent.checks.check import all_checks, is_cancelled
from agent.checks.context import check_context, plan_option, planned_request
from agent.checks.display import check_display, fitting_advice
from agent.checks.history import WORDS, CheckRun, keep_run, kept_runs, log_run, rows, uplink_measurements
from agent.checks.kinds.internet import targets_of
from agent.checks.runner import CheckRunner
from agent.devices.table import plain_table, print_table
from agent.sessions.options import request_option, with_asked
from agent.terminal.parameters import config_option, duration_option, json_option, print_json
from agent.terminal.signals_and_keys import set_on_signal
from config.errors import StateError
from config.settings.schema import load_settings
from devices.host.clock import SystemClock
from recorder.running.runtime_directory import without_preview
from recorder.session.request import SessionRequest

EXAMPLES = """\b
Examples:
  liput check                                 every check, for a session by the settings; half a minute
  liput check --quick                         checks of up to 5 s
  liput check --session wisuda.toml           checks for a planned session
  liput check --have tripod --have cables     confirm equipment that Liput cannot detect
  liput check --session wisuda.toml --fit     suggest a profile for the measured uplink
  liput check --history                       earlier measurements of the uplink
\b
A plan, as wisuda.toml, has lines such as: title = "Wisuda", video = ["podium"], stream = ["youtube"], length_s = "2h".
Exit status: 0 ready; 1 not ready; 2 wrong usage.
"""


@click.command(epilog=EXAMPLES)
@plan_option
@request_option
@click.option("--video", "videos", metavar="DEVICE", multiple=True, help="As for `liput record`.")
@click.option("--audio", "audios", metavar="DEVICE", multiple=True, help="As for `liput record`.")
@click.option("--stream", "streams", metavar="NAME", multiple=True, help="A destination of the settings; repeatable.")
@click.option("--profile", metavar="NAME", help="Picture size, frame rate and bit rates (liput config show).")
@duration_option("--for", "duration_s", "The planned duration: 90m, 2h.")
@click.option("--conference/--no-conference", default=None, help="Whether a video conference runs at the same time.")
@click.option("--archive", type=click.Path(path_type=Path), metavar="DIR", help="The archive folder.")
@click.option("--have", metavar="THING", multiple=True, help="Confirm an item that Liput cannot detect; repeatable.")
@click.option("--quick", is_flag=True, help="Only checks of up to 5 s.")
@click.option("--public", is_flag=True, help="Allow a server outside the campus.")
@click.option("--fit", "wants_fit", is_flag=True, help="Suggest a profile for the measured uplink.")
@click.option("--history", "wants_history", is_flag=True, help="Only list earlier measurements of the uplink.")
@config_option
@json_option
@with_asked
def check_command(
    asked: SessionRequest,
    plan: Path | None,
    have: tuple[str, ...],
    config_file: Path | None,
    *,
    quick: bool,
    public: bool,
    wants_fit: bool,
    wants_history: bool,
    as_json: bool,
) -> int:
    """Check everything that a session needs, and list the fixes.

    Nothing is recorded. Like a session, the check applies the kept settings of cameras; it changes nothing else.
    Ctrl-C ends it and shows the results so far.
    """
    settings = load_settings(config_file)
    language = settings.general.language
    if wants_history:
        _show_history(language, as_json=as_json)
        return 0
    asked, planned = planned_request(plan, asked, settings)
    clock = SystemClock()
    situation = check_context(asked, planned, settings, clock, have=have, quick=quick, public=public)
    show = check_display(language, as_json=as_json)
    with set_on_signal(situation.stop):
        with without_preview(), show:
            results = CheckRunner(all_checks(), situation, show).run()
        checked = CheckRun(at=clock.now(), title=asked.title, quick=quick, results=results)
        show.verdict(checked)
        if wants_fit:  # outside the JSON document
            for words in fitting_advice(results, settings, asked, plan, streams=bool(targets_of(situation))):
                click.echo(words.of(language), err=as_json)
        if not any(map(is_cancelled, results)):
            try:
                keep_run(checked)
            except StateError as error:
                click.echo(f"liput: the result is not kept: {error.message}", err=True)
            log_run(checked, settings)
    return 0 if checked.ready else 1


def _show_history(language: str, *, as_json: bool) -> None:
    found = uplink_measurements(kept_runs())
    if as_json:
        for one in found:
            print_json(one)
    elif found:
        print_table(plain_table(rows(found, language)))
    else:
        click.echo(WORDS["never"].of(language), err=True)
