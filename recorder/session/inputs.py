"""The sources of one session: opened and read by workers, and let go of."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from capture.source import Frame, Matrix, VideoFormat, VideoSource
from capture.sources.kind import ChosenSource
from capture.sources.source_queue import LIVE_QUEUE_S, SourceQueue
from capture.sources.worker import AudioWorker, Located, SourceEvents, SourceOutage, SourceWorker, VideoWorker
from config.errors import DeviceError, LiputError, MediaError
from config.events import Emit
from devices.host.clock import NANOSECONDS, Clock
from devices.host.priority import put_first
from recorder.program.mixer import SoundInput
from recorder.recording.iso import IsoRecording, Where, file_names
from recorder.session.plan import SessionPlan

OPEN_S = 20.0
"""How long opening may take: a sound server may be started for it, and the kernel gives up on a camera after 5 s."""
FIRST_PICTURE_S = 10.0
"""How long a source may take to its first picture: a USB camera needs up to 5 s to say that it will not."""
MISSED_S = 3.0
GRACE_S = 1.0
"""Where sources may be missing, it is begun without those that take longer: the first of all, and the others then."""
FAST_QUEUE = 8
AUDIO_QUEUE = 256
STOPPED = "stopped before the first picture came; nothing was recorded"
PLUG_AGAIN = "unplug it and plug it in again"
WATCH_S = 0.002
"""How often is looked whether they are open, and whether the first picture is there: a start waits for both."""


class _Reporter(SourceEvents):
    """Tells the session's log of one source; `failure` is why it gives nothing more."""

    def __init__(self, name: str, clock: Clock, emit: Emit) -> None:
        self.failure: LiputError | None = None
        self._name = name
        self._clock = clock
        self._emit = emit

    def lost(self, outage: SourceOutage) -> None:
        """Tell of an outage."""
        self._emit("source-lost", self._name, outage.reason, hint=outage.hint, clock_ns=outage.since_ns)

    def found(self, outage: SourceOutage, located: Located) -> None:
        """Tell of the end of an outage."""
        device = located.device
        where = f" in port {device.port}" if device.port else ""
        doubt = "" if located.is_certain else "; it has no serial number, so it may be another of its make"
        away_s = (self._clock.now_ns() - outage.since_ns) / NANOSECONDS
        self._emit(
            "source-found",
            self._name,
            f"{self._name} is there again{where}{doubt}",
            device=device.id,
            port=device.port,
            moved_from=located.moved_from,
            away_s=round(away_s, 3),
        )

    def hung(self, closings: int) -> None:
        """Tell of a device that hangs."""
        self._emit(
            "source-hung",
            self._name,
            f"{self._name} does not let go: closing it is left to the kernel ({closings} so far)",
            count=closings,
            hint=PLUG_AGAIN,
        )

    def failed(self, error: LiputError) -> None:
        """Tell of a source that gives nothing more."""
        self.failure = error
        kind = "file-broken" if isinstance(error, MediaError) else "source-lost"
        self._emit(kind, self._name, error.message, hint=error.hint)


class SessionInputs:
    """Owns the sources and their readers; used by the session's thread."""

    def __init__(self, plan: SessionPlan, *, clock: Clock, emit: Emit) -> None:
        self.pictures: list[tuple[ChosenSource[VideoSource], VideoFormat, VideoWorker]] = []
        """Each source of pictures with what it gives (what is wanted of it, while it is missing), and its worker."""
        self.sounds: list[tuple[SoundInput, AudioWorker]] = []
        self.late: set[str] = set()
        """Sources of pictures that have given nothing when the session begins, and were waited for."""
        self.late_sounds: set[str] = set()
        """Sources of sound that are not open by then."""
        self._plan = plan
        self._clock = clock
        self._emit = emit
        self._began_ns = 0
        self._go = threading.Event()
        self._reporters: dict[str, _Reporter] = {}
        self._videos: list[VideoWorker] = []
        self._isos: list[IsoRecording] = []
        # BT.601 is what cameras, sticks and screens give: a piece of another matrix costs a conversion.
        self._wanted = VideoFormat(plan.profile.width, plan.profile.height, plan.profile.fps, Matrix.BT601)

    @property
    def form(self) -> VideoFormat:
        """The program's form: its one source's, else the profile's in the first's matrix; a resumed session's own."""
        if self._plan.resume and self._plan.resume.form:
            return self._plan.resume.form
        ((_, form, _), *others) = self.pictures
        is_known = form is not self._wanted
        return form if is_known and not others else replace(self._wanted, matrix=form.matrix)

    @property
    def dropped(self) -> int:
        """How many pictures came and were not taken in time, in all."""
        return sum(worker.queue.dropped for _, _, worker in self.pictures)

    def open(self, stack: ExitStack, stopping: threading.Event) -> None:
        """Open every source on the thread of its worker, pictures in their order unless one takes long.

        Those that may be missing and take long are begun without. Raises the LiputError of another that cannot be
        opened, and LiputError when `stopping` is set before.
        """
        for sound in self._plan.sounds:
            listener = SourceWorker(
                sound.source,
                self._clock,
                queue=SourceQueue(AUDIO_QUEUE, waits=not self._plan.live),
                supervision=sound.supervision,
                events=self._reporter(sound.name),
            )
            self.sounds.append((sound, listener))
        self._videos = [self._video(picture) for picture in self._plan.pictures]
        for worker in self._workers:
            stack.callback(worker.close)
        for _, listener in self.sounds:
            # Its thread goes before the others of its process, but not before its child was started.
            listener.start(self._go, keeps_early=True, then=put_first)
        before: VideoWorker | None = None
        for video in self._videos:
            video.start(self._go, after=before)
            before = video
        self._wait_until_open(stopping)
        for picture, video in zip(self._plan.pictures, self._videos, strict=True):
            form = video.form or self._wanted
            video.queue.bound = self._bound(form)
            self.pictures.append((picture, form, video))

    def _video(self, picture: ChosenSource[VideoSource]) -> VideoWorker:
        video = VideoWorker(
            picture.source,
            self._clock,
            queue=SourceQueue(self._bound(self._wanted), waits=not self._plan.live),
            supervision=picture.supervision,
            events=self._reporter(picture.name),
        )
        if self._plan.isolate:
            iso, source = IsoRecording(picture.name, self._emit), picture.source
            self._isos.append(iso)
            video.listeners.append(lambda frame: iso.put(frame, source.coded))
        return video

    def _reporter(self, name: str) -> _Reporter:
        self._reporters[name] = _Reporter(name, self._clock, self._emit)
        return self._reporters[name]

    @property
    def _workers(self) -> Sequence[SourceWorker[Any, Any]]:
        return [*(worker for _, worker in self.sounds), *self._videos]

    def _bound(self, form: VideoFormat) -> int:
        return max(FAST_QUEUE, round(form.rate * LIVE_QUEUE_S)) if self._plan.live else FAST_QUEUE

    def _wait_until_open(self, stopping: threading.Event) -> None:
        """Wait until all are open, but for those that may be missing: it is begun without them where they take long."""
        self._began_ns = self._clock.now_ns()
        a_picture_ns: int | None = None
        while True:
            waiting = [worker for worker in self._workers if not worker.has_tried]
            needed = [worker for worker in waiting if not worker.may_miss]
            for worker in self._workers:
                if worker.error is not None and not (worker.may_miss and isinstance(worker.error, DeviceError)):
                    raise worker.error
            if not waiting:
                return
            now_ns = self._clock.now_ns()
            if a_picture_ns is None and any(video.form for video in self._videos):
                a_picture_ns = now_ns
            if not needed:
                is_late = now_ns > self._began_ns + MISSED_S * NANOSECONDS
                if is_late or (a_picture_ns is not None and now_ns > a_picture_ns + GRACE_S * NANOSECONDS):
                    return
            elif now_ns > self._began_ns + OPEN_S * NANOSECONDS:
                raise DeviceError(f"{needed[0].name} cannot be opened: it does not answer", hint=PLUG_AGAIN)
            if self._clock.wait(stopping, WATCH_S):
                raise LiputError(STOPPED)

    def start(self) -> None:
        """Begin to queue their items."""
        self._plan.pace.begin()
        self._go.set()

    def isolate(self, stack: ExitStack, where: Where, zero_ns: int) -> None:
        """Record each source of pictures apart too, from now on; `zero_ns` is the clock's time at media time 0."""
        files = file_names(iso.name for iso in self._isos)
        for iso in self._isos:
            stack.callback(iso.close)
            iso.begin(where, zero_ns, files[iso.name], self._plan.recording.sync_s)

    def stop(self, timeout_s: float = 1.0) -> None:
        """Read no more; what hangs is left to itself after `timeout_s` each."""
        for worker in self._workers:
            worker.stop(timeout_s)

    def first(self, stopping: threading.Event) -> tuple[int, Frame] | None:
        """Wait for the first picture of the first source, or of any where it may be missing; return its place, and it.

        Returns None without a picture where the first source may be missing; else raises why there is none.
        """
        index = self._first_that_gives(stopping)
        frame = None if index is None else self.pictures[index][2].queue.get(0.0)
        if index is not None and frame is not None:
            return index, frame
        if stopping.is_set():
            raise LiputError(STOPPED)
        if self._first_may_miss:
            return None
        (picture, _, video), *_ = self.pictures
        failure = self._reporters[picture.name].failure
        if video.queue.at_end:
            raise MediaError(f"{picture.name} holds no pictures", hint="choose a file with video in it")
        if video.queue.is_over and failure is not None:
            raise failure
        raise DeviceError(
            f"{picture.name} gives no picture", hint="check its cable and that it is switched on, then try again"
        )

    def _first_that_gives(self, stopping: threading.Event) -> int | None:
        """Return the place of the source that the session begins with; note the sources that are late for that."""
        clock, may_miss = self._clock, self._first_may_miss
        limit_ns = clock.now_ns() + round((GRACE_S if may_miss else FIRST_PICTURE_S) * NANOSECONDS)
        if may_miss:
            limit_ns = max(limit_ns, self._began_ns + round(MISSED_S * NANOSECONDS))
        while True:
            given = {index for index, (_, _, video) in enumerate(self.pictures) if video.queue.has_items}
            awaited = [index for index in range(len(self.pictures) if may_miss else 1) if self._may_give(index)]
            if given and may_miss:
                limit_ns = min(limit_ns, clock.now_ns() + round(GRACE_S * NANOSECONDS))
            is_there = bool(awaited) and awaited[0] in given
            if is_there or not awaited or clock.now_ns() >= limit_ns or clock.wait(stopping, WATCH_S):
                break
        opening = {picture.name for picture, _, video in self.pictures if not video.has_tried}
        silent = {picture.name for index, (picture, _, _) in enumerate(self.pictures) if index not in given}
        self.late = opening if is_there else silent
        self.late_sounds = {sound.name for sound, worker in self.sounds if not worker.has_tried}
        if may_miss:
            return min(given, default=None)
        return 0 if 0 in given else None

    @property
    def _first_may_miss(self) -> bool:
        return self._videos[0].may_miss

    def _may_give(self, index: int) -> bool:
        video = self._videos[index]
        return video.error is None and not video.queue.is_over
