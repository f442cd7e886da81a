"""`liput serve`: the daemon."""

import signal
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from agent.archives.maintenance import CopyRunner, FixityPart
from agent.archives.selection import archive_option, archives_of
from agent.daemon.log import DaemonLog, Level, errors_to_journal, log_form
from agent.daemon.parts import DaemonContext, FeaturePart, Part, Parts, ServiceNotifier
from agent.daemon.presence import daemon_lock
from agent.daemon.settings_part import SettingsPart
from agent.daemon.standby import StandbyRecorder
from agent.daemon.supervisor import RecorderSupervisor, TellOutcome
from agent.devices.watch_part import DevicesPart
from agent.features import hooked
from agent.health.alarm import NoticeBoard
from agent.sessions.control import absolute
from agent.sessions.room_preview import RoomPreview
from agent.terminal.parameters import config_option, json_lines_option
from agent.terminal.signals_and_keys import set_on_signal
from agent.web.server import WebPart
from config.settings.schema import CurrentSettings
from devices.host.clock import NANOSECONDS, Clock, SystemClock

if TYPE_CHECKING:
    from agent.web.http.context import ApiContext
    from recorder.recovery.recover import RecoveryOutcome

FIRST_STANDBY_S = 2.0
"""Delay of the first standby recorder: its start takes half a second of a core, as the page's does."""

EXAMPLES = """\b
SIGTERM or Ctrl-C ends it cleanly. Recorders continue without it, and a kill loses nothing.
"""


@click.command(epilog=EXAMPLES)
@config_option
@archive_option
@json_lines_option
def serve_command(config_file: Path | None, folder: Path | None, *, as_json: bool) -> None:
    """Run the daemon: it recovers sessions after a crash, and continues one within seconds if its recorder is killed.

    While no session runs, it copies packages to the places in [copies] of the settings. It reports faults of sessions
    by [alarms], reads the calendars in [feeds], and arms, starts and stops planned sessions (`liput schedule`). It
    serves the page and its API by [web].
    """
    clock = SystemClock()
    folder = absolute(folder)  # recorders, copies and checks have other working folders
    stop = threading.Event()
    log = DaemonLog(log_form(as_json=as_json), clock)
    pulse = ServiceNotifier(clock, log.of(level="warning"))  # before any child, which must not speak for the daemon

    with errors_to_journal(log), daemon_lock(), set_on_signal(stop, (signal.SIGTERM, signal.SIGINT)):
        archives, spares = archives_of(folder, config_file), StandbyRecorder(log.of("sessions"))
        in_force = CurrentSettings(config_file)
        daemon = DaemonContext(
            clock, log, config_file, folder, in_force, in_force.read(), spares.take, NoticeBoard(clock)
        )
        daemon.learn(daemon.settings)
        log.take_over()
        watched = SettingsPart(in_force, daemon.settings, clock, log.of("settings"))
        copying = CopyRunner(clock, folder, config_file, is_wanted=lambda: bool(watched.now.copies))
        when_idle = _when_idle(clock, spares, copying)
        sessions = RecorderSupervisor(
            archives, clock, log.of("sessions"), _recovery_logger(log), spawn=spares.take, when_idle=when_idle
        )
        parts = _parts(daemon, watched, sessions)
        with closing(copying), closing(spares):
            _run(parts, pulse, stop, log)


def _parts(daemon: DaemonContext, watched: SettingsPart, sessions: RecorderSupervisor) -> Parts:
    settings, clock, log, folder, board = daemon.settings, daemon.clock, daemon.log, daemon.folder, daemon.board
    features: list[FeaturePart] = [make_part(daemon) for make_part in hooked("part")]
    fixity = FixityPart(settings, clock, log.of("fixity"), folder, daemon.config_file)
    board.sources.append(fixity.damaged)
    watched.takers = [daemon.learn, *(part.take for part in features), fixity.take]
    devices = DevicesPart(settings, clock, log.of("devices", "warning"), folder)

    preview = RoomPreview(daemon.in_force, clock, log.of("preview"), devices)

    def house() -> "ApiContext":
        from agent.web.http.context import ApiContext
        from agent.web.http.token import Auth

        return ApiContext(
            gate=Auth(clock), clock=clock, settings=daemon.in_force,
            tell=log.of("web"), spawn=daemon.spawn, standing=parts.standing, folder=folder,
            parts=[part.name for part in parts.parts], alarms=board.alarms,
            notices=board.notices, devices=devices, preview=preview, learn=daemon.learn,
        )  # fmt: skip

    page: list[Part] = [WebPart(settings.web, house, clock, log.of("web")), preview] if settings.web.enabled else []
    parts = Parts([*page, sessions, *features, devices, fixity, watched], clock, log.of(level="warning"))
    return parts


def _when_idle(clock: Clock, spares: StandbyRecorder, copying: CopyRunner) -> Callable[[], None]:
    """Return the work for times without a session: keep a standby recorder, copy packages."""
    first_spare_ns = clock.now_ns() + int(FIRST_STANDBY_S * NANOSECONDS)

    def look() -> None:
        if clock.now_ns() >= first_spare_ns:
            spares.keep()
        copying.look()

    return look


def _run(parts: Parts, pulse: ServiceNotifier, stop: threading.Event, log: DaemonLog) -> None:
    try:
        parts.start()
        log.say("ready")
        pulse.begin()
        while not stop.wait(pulse.look_s):
            pulse.look(parts.standing())
    finally:
        pulse.end()
        for name in parts.stop():
            log.say(f"{name} does not end; it is left to itself", name, "warning")


def _recovery_logger(log: DaemonLog) -> TellOutcome:
    def say(outcome: "RecoveryOutcome") -> None:
        from recorder.recovery.recover import RecoveryState

        if log.form == "programs":
            log.line(msgspec.json.encode(outcome).decode())
        elif outcome.state is not RecoveryState.RECORDING:
            level: Level = "warning" if outcome.state is RecoveryState.FAILED else "info"
            log.say(f"{outcome.title}: {outcome.state}: {outcome.message}", "sessions", level)

    return say
