"""`liput serve`: the daemon."""

import signal
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from agent.alarms.alarm import Said
from agent.alarms.herald import Notices
from agent.alarms.part import alarms_of
from agent.archives.choice import archives_of
from agent.archives.copying import Copying
from agent.archives.part import FixityPart
from agent.daemon.log import Level, Log, complaints, form_of
from agent.daemon.parts import Part, Parts, Pulse
from agent.daemon.serve import Daemon, Spares
from agent.daemon.serving import only_one
from agent.daemon.settings import SettingsPart
from agent.devices.part import DevicesPart
from agent.schedule.part import schedule_of
from agent.sessions.steering import absolute
from agent.terminal.parameters import config_option
from agent.terminal.redact import redactor_for
from agent.terminal.signals import setting
from agent.web.server import WebPart
from config.settings.loading import SettingsInForce
from config.settings.schema import Settings
from devices.host.clock import NANOSECONDS, Clock, SystemClock

if TYPE_CHECKING:
    from agent.web.http.house import House
    from recorder.recovery.recover import Outcome

FIRST_SPARE_S = 2.0
"""Delay of the first standby recorder: its start takes half a second of a core, as the page's does."""

EXAMPLES = """\b
Ends in order with SIGTERM or Ctrl-C. Recorders go on without it; killing it costs nothing.
"""


@click.command(epilog=EXAMPLES)
@config_option
@click.option(
    "--archive",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Only this archive; else all of the settings.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; see docs/reference/cli.md.")
@click.pass_context
def serve_command(ctx: click.Context, config_file: Path | None, folder: Path | None, *, as_json: bool) -> None:
    """Look after sessions: recover what a crash left, and go on within seconds with one whose recorder was killed.

    While no session runs, packages are copied to the places of [copies] in the settings. What goes wrong in a session
    is told as [alarms] says. Planned sessions (`liput schedule`) are armed, begun and ended by time, and calendars of
    [feeds] are read. The page and its API are served where [web] says.
    """
    clock = SystemClock()
    folder = absolute(folder)  # recorders, copies and checks have other working folders
    stop = threading.Event()
    log = Log(form_of(as_json=as_json), clock)
    pulse = Pulse(clock, log.of(level="warning"))  # before any child, which must not speak for the daemon

    with complaints(log), only_one(), setting(stop, (signal.SIGTERM, signal.SIGINT)):
        archives, spares = archives_of(ctx, folder, config_file), Spares(log.of("sessions"))
        in_force = SettingsInForce(config_file or ctx.find_object(Path))
        given = _DaemonContext(clock, log, config_file, folder, in_force, in_force.read(), spares)
        given.learn(given.settings)
        log.take_over()
        watched = SettingsPart(in_force, given.settings, clock, log.of("settings"))
        copying = Copying(clock, folder, config_file, is_wanted=lambda: bool(watched.now.copies))
        when_idle = _when_idle(clock, spares, copying)
        sessions = Daemon(
            archives, clock, log.of("sessions"), _recovery_logger(log), spawn=spares.take, when_idle=when_idle
        )
        parts = _parts(given, watched, sessions)
        with closing(copying), closing(spares):
            _run(parts, pulse, stop, log)


@dataclass(frozen=True, slots=True)
class _DaemonContext:
    """The values that the daemon's parts are made of; `settings` are those at the start."""

    clock: Clock
    log: Log
    config_file: Path | None
    folder: Path | None
    in_force: SettingsInForce
    settings: Settings
    spares: Spares

    def learn(self, settings: Settings) -> None:
        """Hide the secrets of `settings` in the log from now on."""
        self.log.know(redactor_for(settings)[0])


def _parts(given: _DaemonContext, watched: SettingsPart, sessions: Daemon) -> Parts:
    settings, clock, log, folder = given.settings, given.clock, given.log, given.folder
    notices = Notices(clock, settings.alarms.most_per_hour)
    fixity = FixityPart(settings, clock, log.of("fixity"), folder, given.config_file)
    alarms = alarms_of(settings, clock, log.of("alarms"), [fixity.damaged], notices)
    schedule = schedule_of(
        settings,
        clock,
        log.of("schedule"),
        given.spares.take,
        notify=lambda kind, plan, words: notices.put(kind, plan.id, plan.title, Said(words.indonesian, words.english)),
        config_file=given.config_file,
        archive=folder,
        good=lambda: given.in_force.good,
    )
    watched.takers = [given.learn, alarms.take, schedule.take, fixity.take]
    devices = DevicesPart(settings, clock, log.of("devices", "warning"), folder)

    def house() -> "House":
        from agent.web.http.house import House
        from agent.web.http.token import Gate

        return House(
            gate=Gate(clock), clock=clock, settings=given.in_force,
            tell=log.of("web"), spawn=given.spares.take, standing=parts.standing, folder=folder,
            parts=[part.name for part in parts.parts], alarms=alarms.present,
            notices=notices.present, devices=devices, learn=given.learn,
        )  # fmt: skip

    page: list[Part] = [WebPart(settings.web, house, clock, log.of("web"))] if settings.web.enabled else []
    parts = Parts([*page, sessions, alarms, schedule, devices, fixity, watched], clock, log.of(level="warning"))
    return parts


def _when_idle(clock: Clock, spares: Spares, copying: Copying) -> Callable[[], None]:
    """Return the work for times without a session: keep a standby recorder, copy packages."""
    first_spare_ns = clock.now_ns() + int(FIRST_SPARE_S * NANOSECONDS)

    def look() -> None:
        if clock.now_ns() >= first_spare_ns:
            spares.keep()
        copying.look()

    return look


def _run(parts: Parts, pulse: Pulse, stop: threading.Event, log: Log) -> None:
    try:
        parts.start()
        log("ready")
        pulse.begin()
        while not stop.wait(pulse.look_s):
            pulse.look(parts.standing())
    finally:
        pulse.end()
        for name in parts.stop():
            log.say(f"{name} does not end; it is left to itself", name, "warning")


def _recovery_logger(log: Log) -> "Callable[[Outcome], None]":
    def say(outcome: "Outcome") -> None:
        from recorder.recovery.recover import State

        if log.form == "programs":
            log.line(msgspec.json.encode(outcome).decode())
        elif outcome.state is not State.RECORDING:
            level: Level = "warning" if outcome.state is State.FAILED else "info"
            log.say(f"{outcome.title}: {outcome.state}: {outcome.message}", "sessions", level)

    return say
