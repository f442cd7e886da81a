"""The level of every microphone over three seconds: silent, too low, clipping, hum, one channel dead."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress

from agent.checks import sources
from agent.checks.check import Check, Progress, Situation, Tell
from agent.checks.held import Held
from agent.checks.result import Measured, Result, codes, found
from agent.checks.sources import NotGiven
from capture.choice import NONE
from capture.chosen import ChosenSource
from capture.source import SAMPLE_RATE, AudioSource, SourceEnded
from capture.watch.audio_detectors import DEAD_DB, HUM_DBFS, NOTHING_DBFS, SPEAKS_DBFS, mains_hz
from capture.watch.listening import Heard, Listening
from capture.watch.loudness import FLOOR_DBFS
from capture.worker import AudioWorker, SourceWorker
from config.errors import LiputError
from config.locale.lookup import words
from devices.health.faults import Fault
from devices.host.clock import NANOSECONDS
from recorder.control.client import ask
from recorder.control.find import Running
from recorder.control.protocol import Status
from recorder.model.status import SessionStatus, SoundLine, SourceLine

WORDS = words("check-sounds")

CODES = codes("check-source") | codes("check-sounds")

NAME = "sound"
LISTEN_S = 3.0
QUICK_LISTEN_S = 1.5
"""Too short for hum."""
FIRST_BLOCK_S = 3.0
ASK_S = 0.25
"""How often a session that has an input open is asked for its level: its status has the newest only."""
CLIPPED_S = 1.0
"""In so many seconds of three samples must be cut off: one shout, or a chair, is shorter."""

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


def listen(situation: Situation, tell: Tell) -> Iterable[Result]:
    """Return what each input of sound of the session gives."""
    try:
        chosen = sources.choose(situation)
    except LiputError as error:
        return [sources.not_chosen(error, NAME, CODES)]
    chosen.pace.begin()
    if not chosen.sounds and situation.asked.audios != (NONE,):
        return [found(CODES, "no-sound", NAME)]
    tell(Progress(share=0.1, doing=WORDS["listening-say-something"]))
    looks = {sound.name: _Listening(situation, sound) for sound in chosen.sounds}
    return sources.look_at_each(situation, NAME, looks, CODES)


class _Listening:
    """Listens to one input."""

    def __init__(self, situation: Situation, sound: ChosenSource[AudioSource]) -> None:
        self._situation = situation
        self._sound = sound
        self._name = f"{NAME}: {sound.name}"
        self._ends_ns = sources.ends_ns(situation)
        self._listen_s = QUICK_LISTEN_S if situation.quick else LISTEN_S

    def __call__(self) -> Sequence[Result]:
        """Return what it gives; raises NotGiven and LiputErrors where it gives nothing."""
        if held := sources.held(self._situation, self._sound.device):
            return self._of_session(*held)
        worker = SourceWorker(self._sound.source, self._situation.clock, supervision=self._sound.supervision)
        with closing(worker):
            worker.open()
            heard = self._hear(worker)
        if self._situation.stop.is_set():
            raise NotGiven("cancelled")
        if heard is None:
            raise NotGiven("no-data")
        return [found(CODES, code, self._name, measured(heard)) for code in wrong_with(heard) or ["ok"]]

    def _hear(self, worker: AudioWorker) -> Heard | None:
        clock, stop = self._situation.clock, self._situation.stop
        listening = Listening(
            self._sound.source.channels, mains_hz(self._situation.settings.devices.power_line_frequency)
        )
        until_ns = min(clock.now_ns() + round((FIRST_BLOCK_S + self._listen_s) * NANOSECONDS), self._ends_ns)
        left = round(self._listen_s * SAMPLE_RATE)
        while left > 0 and clock.now_ns() < until_ns and not stop.is_set():
            try:
                block = worker.read(0.1)
            except SourceEnded:
                break
            if block is not None:
                left -= len(block.samples)
                listening.hear(block.samples)
        if worker.outage:
            raise NotGiven("lost")
        return listening.heard()

    def _of_session(self, by: Held, line: SourceLine) -> Sequence[Result]:
        """Return what the session that has it open says of it."""
        input_line, peak_dbfs = self._peak_dbfs(by)
        every: Measured = {"held_by": by.title, "peak_dbfs": peak_dbfs}
        facts = {"session": by.title, "error": line.health.reason, "hint": "", "level_dbfs": peak_dbfs}
        if code := OF_FAULTS.get(line.health.fault or ""):
            return [found(CODES, code, self._name, every, **facts)]
        if input_line is None:
            raise NotGiven("no-data")
        if input_line.muted:
            return [found(CODES, "muted", self._name, every, **facts)]
        low = peak_dbfs < SPEAKS_DBFS
        return [found(CODES, "too-low" if low else "ok-held", self._name, every, **facts)]

    def _peak_dbfs(self, by: Held) -> tuple[SoundLine | None, float]:
        """Return what the session says of this input, and its highest level while it is asked."""
        clock, stop = self._situation.clock, self._situation.stop
        line, highest = self._line(by.status) if by.status else None, FLOOR_DBFS
        until_ns = clock.now_ns() + round(self._listen_s * NANOSECONDS)
        while line is not None:
            highest = max(highest, *line.levels_dbfs, FLOOR_DBFS)
            if by.recorder is None or clock.now_ns() >= until_ns or clock.wait(stop, ASK_S):
                break
            if (status := _status(by.recorder)) is None:
                break  # it has ended meanwhile
            line = self._line(status)
        return line, highest

    def _line(self, status: SessionStatus) -> SoundLine | None:
        return next((line for line in status.sounds if line.name == self._sound.name), None)


def _status(recorder: Running) -> SessionStatus | None:
    with suppress(LiputError):
        return ask(recorder.folder, Status()).status
    return None


def wrong_with(heard: Heard) -> list[str]:
    """Return the codes of all that is wrong with what was heard; what explains the rest comes alone."""
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


def measured(heard: Heard) -> Measured:
    """Return what was heard as bare numbers."""
    return {
        "level_dbfs": round(heard.level_dbfs, 1),
        "softest_channel_dbfs": round(min(heard.levels_dbfs), 1),
        "peak_dbfs": round(max(heard.peaks_dbfs), 1),
        "clipped_s": heard.clipped_s,
        "hum_dbfs": None if heard.hum_dbfs is None else round(heard.hum_dbfs, 1),
        "heard_s": heard.seconds,
    }


CHECKS = [Check(NAME, WORDS["sound"], listen, CODES, place=30)]
