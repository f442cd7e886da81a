"""The level of every microphone over three seconds: silent, too low, clipping, hum, one channel dead."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress

from agent.checks.check import Check, CheckContext, CheckResult, Measured, findings, make_result
from agent.checks.kinds.sources import HeldSource, SourceFailure, holding_session, inspect_sources
from capture.detectors.audio_detectors import DEAD_DB, HUM_DBFS, NOTHING_DBFS, SPEAKS_DBFS, mains_hz
from capture.detectors.audio_measures import FLOOR_DBFS, SoundCheck, SoundCheckResult
from capture.source import SAMPLE_RATE, AudioSource, SourceEnded
from capture.sources.source_kind import ChosenSource
from capture.sources.source_selector import NONE
from capture.sources.worker import AudioWorker, SourceWorker
from config.errors import LiputError
from config.locale.lookup import words
from devices.health.faults import Fault
from devices.host.clock import NANOSECONDS
from recorder.model.status import SoundLine
from recorder.running.client import RunningRecorder, send_command
from recorder.running.protocol import StatusCommand

WORDS = words("check-sounds")

CODES = findings("check-source") | findings("check-sounds")

NAME = "sound"
LISTEN_S = 3.0
QUICK_LISTEN_S = 1.5  # too short for hum
FIRST_BLOCK_S = 3.0
ASK_S = 0.25  # interval of the status requests to a session that has the input open: a status has only the newest level
CLIPPED_S = 1.0  # seconds out of three with clipping; one shout, or a chair, is shorter

OF_FAULTS: Mapping[str, str] = {
    Fault.NO_DATA: "no-data",
    Fault.SILENCE: "silent",
    Fault.CLIPPING: "clipping",
    Fault.HUM: "hum",
    Fault.DEAD_CHANNEL: "dead-channel",
    Fault.LOST: "lost",
    Fault.BUSY: "busy",
    Fault.DENIED: "denied",
}


def listen(situation: CheckContext) -> Iterable[CheckResult]:
    situation.tell(0.1, WORDS["listening-say-something"])
    results = inspect_sources(situation, NAME, CODES, lambda chosen: chosen.sounds, _input_results)
    if not results and situation.asked.audios != (NONE,):
        return [make_result(CODES, "no-sound", NAME)]
    return results


def _input_results(situation: CheckContext, sound: ChosenSource[AudioSource], ends_ns: int) -> Sequence[CheckResult]:
    name = f"{NAME}: {sound.name}"
    if held := holding_session(situation, sound.device):
        return _session_results(situation, name, sound.name, held)
    worker = SourceWorker(sound.source, situation.clock, supervision=sound.supervision)
    with closing(worker):
        worker.open()
        heard = _listen(worker, sound.source.channels, situation, ends_ns)
    if situation.stop.is_set():
        raise SourceFailure("cancelled")
    if heard is None:
        raise SourceFailure("no-data")
    return [make_result(CODES, code, name, sound_figures(heard)) for code in sound_faults(heard) or ["ok"]]


def _listen_s(situation: CheckContext) -> float:
    return QUICK_LISTEN_S if situation.quick else LISTEN_S


def _listen(worker: AudioWorker, channels: int, situation: CheckContext, ends_ns: int) -> SoundCheckResult | None:
    clock, stop, listen_s = situation.clock, situation.stop, _listen_s(situation)
    listening = SoundCheck(channels, mains_hz(situation.settings.devices.power_line_frequency))
    until_ns = min(clock.now_ns() + round((FIRST_BLOCK_S + listen_s) * NANOSECONDS), ends_ns)
    left = round(listen_s * SAMPLE_RATE)
    while left > 0 and clock.now_ns() < until_ns and not stop.is_set():
        try:
            block = worker.read(0.1)
        except SourceEnded:
            break
        if block is not None:
            left -= len(block.samples)
            listening.hear(block.samples)
    if worker.outage:
        raise SourceFailure("lost")
    return listening.heard()


def _session_results(situation: CheckContext, name: str, source: str, held: HeldSource) -> Sequence[CheckResult]:
    by, line = held
    input_line, peak_dbfs = _peak_dbfs(situation, source, by)
    title = by.info.title
    every: Measured = {"held_by": title, "peak_dbfs": peak_dbfs}
    facts = {"session": title, "error": line.health.reason, "hint": "", "level_dbfs": peak_dbfs}
    code = OF_FAULTS.get(line.health.fault or "")
    if code is None:
        if input_line is None:
            raise SourceFailure("no-data")
        code = "muted" if input_line.muted else "too-low" if peak_dbfs < SPEAKS_DBFS else "ok-held"
    return [make_result(CODES, code, name, every, **facts)]


def _peak_dbfs(situation: CheckContext, source: str, by: RunningRecorder) -> tuple[SoundLine | None, float]:
    """Return the session's status line of an input, and its highest level over the listening time."""
    clock, status, line, highest = situation.clock, by.status, None, FLOOR_DBFS
    until_ns = clock.now_ns() + round(_listen_s(situation) * NANOSECONDS)
    while status is not None:  # None: the session has ended
        line = next((one for one in status.sounds if one.name == source), None)
        if line is None:
            break
        highest = max(highest, *line.levels_dbfs, FLOOR_DBFS)
        if clock.now_ns() >= until_ns or clock.wait(situation.stop, ASK_S):
            break
        status = None
        with suppress(LiputError):
            status = send_command(by.folder, StatusCommand()).status
    return line, highest


def sound_faults(heard: SoundCheckResult) -> list[str]:
    """Return the codes of all faults heard; a fault that explains the others comes alone."""
    if heard.is_nothing:
        return ["nothing"]
    if heard.level_dbfs < NOTHING_DBFS:
        return ["silent"]
    wrong = ["too-low"] if heard.level_dbfs < SPEAKS_DBFS else []
    if heard.clipped_s >= CLIPPED_S:
        wrong.append("clipping")
    if heard.hum_dbfs is not None and heard.hum_dbfs > HUM_DBFS:
        wrong.append("hum")
    below_db = heard.level_dbfs - min(heard.levels_dbfs)
    if heard.level_dbfs >= SPEAKS_DBFS and below_db >= DEAD_DB:
        wrong.append("dead-channel")
    return wrong


def sound_figures(heard: SoundCheckResult) -> Measured:
    return {
        "level_dbfs": round(heard.level_dbfs, 1),
        "softest_channel_dbfs": round(min(heard.levels_dbfs), 1),
        "peak_dbfs": round(max(heard.peaks_dbfs), 1),
        "clipped_s": heard.clipped_s,
        "hum_dbfs": None if heard.hum_dbfs is None else round(heard.hum_dbfs, 1),
        "heard_s": heard.seconds,
    }


CHECKS = [Check(NAME, WORDS["sound"], listen, CODES, place=30)]
