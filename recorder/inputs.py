"""The sources of one session: opened, read on threads of their own, and let go of."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from capture.kept import Absence, KeptAudio, KeptVideo, Return
from capture.reader import Readable, Reader
from capture.source import AudioBlock, AudioSource, Frame, Matrix, VideoFormat, VideoSource
from config.errors import DeviceError, LiputError, MediaError
from config.events import Emit
from devices.clock import NANOSECONDS, Clock
from devices.priority import put_first
from recorder.isolate import Isolated, Tap, Where, file_names
from recorder.plan import SessionPlan
from recorder.sound.inputs import SoundInput
from recorder.video_input import PictureInput

TURN_S = 1.0
"""How long a source lets the one before it go first: on a bus with room for one, the one asked for first gets it."""


class Opening[Item, Opened]:
    """The reading side of a source, opened on the thread that reads it: one that hangs holds up no other for long."""

    def __init__(
        self,
        source: Readable[Item],
        opening: Callable[[], Opened],
        go: threading.Event,
        *,
        is_paced: bool,
        keeps: bool = False,
        may_miss: bool = False,
        after: "Opening[Item, Opened] | None" = None,
    ) -> None:
        """Open `after` another one, unless that takes TURN_S. Give nothing before `go` is set.

        A source that `is_paced` is not even read before. A device is: what it gives meanwhile is let go, so that it
        is at the present then, unless this `keeps` it. The session begins without one that `may_miss`.
        """
        self.name = source.name
        self.opened: Opened | None = None
        self.may_miss = may_miss
        self.error: Exception | None = None
        """Why it could not be opened."""
        self._source = source
        self._opening = opening
        self._go = go
        self._is_paced = is_paced
        self._keeps = keeps
        self._after = after
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether it has been opened, or refused."""
        return self._over.is_set()

    def wait(self, timeout_s: float) -> None:
        """Wait until it has been opened, or refused."""
        self._over.wait(timeout_s)

    def read(self, timeout_s: float) -> Item | None:
        """Return the next item, or None; raises what the source raises. The first call takes as long as opening."""
        if not self.is_over:
            if self._after:
                self._after.wait(TURN_S)
            try:
                self.opened = self._opening()
            except Exception as error:  # whoever waits for it decides
                self.error = error
            self._over.set()
        if self._is_paced and not self._go.wait(timeout_s):
            return None
        item = self._source.read(timeout_s)
        return item if self._keeps or self._go.is_set() else None


OPEN_S = 20.0
"""How long opening may take: a sound server may be started for it, and the kernel gives up on a camera after 5 s."""
FIRST_PICTURE_S = 10.0
"""How long a source may take to its first picture: a USB camera needs up to 5 s to say that it will not."""
MISSED_S = 3.0
GRACE_S = 1.0
"""Where sources may be missing, it is begun without those that take longer: the first of all, and the others then."""
LIVE_QUEUE_S = 1.0
"""How much of a live source may wait before its oldest is dropped."""
FAST_QUEUE = 8
AUDIO_QUEUE = 256
STOPPED = "stopped before the first picture came; nothing was recorded"
PLUG_AGAIN = "unplug it and plug it in again"
WATCH_S = 0.002
"""How often is looked whether they are open, and whether the first picture is there: a start waits for both."""


class SessionInputs:
    """Owns the sources and their readers; used by the session's thread."""

    def __init__(self, plan: SessionPlan, *, clock: Clock, emit: Emit) -> None:
        self.pictures: list[tuple[PictureInput, VideoFormat, Reader[Frame]]] = []
        """Each source of pictures with what it gives (what is wanted of it, while it is missing), and its reader."""
        self.sounds: list[tuple[SoundInput, Reader[AudioBlock]]] = []
        self.readers: Sequence[Reader[Frame] | Reader[AudioBlock]] = []
        self._plan = plan
        self._clock = clock
        self._emit = emit
        self.late: set[str] = set()
        """Sources of pictures that have given nothing when the session begins, and were waited for."""
        self.late_sounds: set[str] = set()
        """Sources of sound that are not open by then."""
        self._began_ns = 0
        self._losses: dict[str, LiputError] = {}
        self._go = threading.Event()
        self._openings: dict[str, Opening[Frame, VideoFormat]] = {}
        self._sound_openings: Sequence[Opening[AudioBlock, None]] = ()
        self._taps: dict[str, Tap] = {}
        # BT.601 is what cameras, sticks and screens give: a piece of another matrix costs a conversion.
        self._wanted = VideoFormat(plan.profile.width, plan.profile.height, plan.profile.fps, Matrix.BT601)

    @property
    def form(self) -> VideoFormat:
        """What the program is: as its one source gives it, else as the profile has it, in its first source's matrix.

        Of a session that is gone on with it stays what it was.
        """
        if self._plan.resume and self._plan.resume.form:
            return self._plan.resume.form
        ((picture, form, _), *others) = self.pictures
        is_known = self._openings[picture.name].opened is form
        return form if is_known and not others else replace(self._wanted, matrix=form.matrix)

    @property
    def dropped(self) -> int:
        """How many pictures came and were not taken in time, in all."""
        return sum(reader.dropped for _, _, reader in self.pictures)

    def open(self, stack: ExitStack, stopping: threading.Event) -> None:
        """Open every source on the thread of its reader, pictures in their order unless one takes long.

        Raises the LiputError of one that cannot be opened, unless it may be missing; then those that take longer than
        the others are begun without. Raises LiputError when `stopping` is set before.
        """
        sounds: list[Opening[AudioBlock, None]] = []
        for sound in self._plan.sounds:
            kept = self._listen(stack, sound.name, sound.source)
            begin, may_miss = _before_others(sound.source.open), kept is not None and kept.may_miss
            sounds.append(Opening(sound.source, begin, self._go, is_paced=kept is None, keeps=True, may_miss=may_miss))
            self.sounds.append((sound, self._reader(sounds[-1], AUDIO_QUEUE, sound.name)))
        readers: list[Reader[Frame]] = []
        for picture in self._plan.pictures:
            kept = self._listen(stack, picture.name, picture.source)
            may_miss = kept is not None and kept.may_miss
            tap = Tap(picture.source)
            if self._plan.isolate:
                self._taps[picture.name] = tap
            before = next(reversed(self._openings.values()), None)
            opening = Opening(
                tap, picture.source.open, self._go, is_paced=kept is None, may_miss=may_miss, after=before
            )
            self._openings[picture.name] = opening
            readers.append(self._reader(opening, self._bound(self._wanted), picture.name))
        self._sound_openings = sounds
        self.readers = [*(reader for _, reader in self.sounds), *readers]
        for reader in self.readers:
            stack.callback(reader.stop)
            reader.start()
        self._wait_until_open([*sounds, *self._openings.values()], stopping)
        for picture, reader in zip(self._plan.pictures, readers, strict=True):
            form = self._openings[picture.name].opened or self._wanted
            reader.bound = self._bound(form)
            self.pictures.append((picture, form, reader))

    def _listen(self, stack: ExitStack, name: str, source: VideoSource | AudioSource) -> KeptVideo | KeptAudio | None:
        """Hear of a source that is kept, and return it where it is; it is closed in the end."""
        stack.callback(source.close)
        if not isinstance(source, KeptVideo | KeptAudio):
            return None
        source.listen(self._absent(name), self._found(name), self._hung(name))
        return source

    def _reader[Item](self, source: Readable[Item], bound: int, name: str) -> Reader[Item]:
        return Reader(source, bound=bound, waits=not self._plan.live, on_lost=self._lost(name))

    def _bound(self, form: VideoFormat) -> int:
        return max(FAST_QUEUE, round(form.rate * LIVE_QUEUE_S)) if self._plan.live else FAST_QUEUE

    def _wait_until_open(self, openings: Sequence[Opening[Any, Any]], stopping: threading.Event) -> None:
        """Wait until all are open, but for those that may be missing: it is begun without them where they take long."""
        self._began_ns = self._clock.now_ns()
        a_picture_ns: int | None = None
        while True:
            waiting = [opening for opening in openings if not opening.is_over]
            needed = [opening for opening in waiting if not opening.may_miss]
            for opening in openings:
                if opening.error is not None and not (opening.may_miss and isinstance(opening.error, DeviceError)):
                    raise opening.error
            if not waiting:
                return
            now_ns = self._clock.now_ns()
            if a_picture_ns is None and any(opening.opened for opening in self._openings.values()):
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
        """Begin to take what they give."""
        self._plan.pace.begin()
        self._go.set()

    def isolate(self, stack: ExitStack, where: Where, zero_ns: int) -> None:
        """Record each source of pictures apart too, from now on; `zero_ns` is the clock's time at media time 0."""
        files, sync_s = file_names(self._taps), self._plan.recording.sync_s
        for name, tap in self._taps.items():
            isolated = Isolated(where, name, zero_ns, self._emit, file=files[name], sync_s=sync_s)
            stack.callback(isolated.close)
            tap.begin(isolated)

    def stop(self, timeout_s: float = 1.0) -> None:
        """Read no more; what hangs is left to itself after `timeout_s` each."""
        for reader in self.readers:
            reader.stop(timeout_s)

    def first(self, stopping: threading.Event) -> tuple[int, Frame] | None:
        """Wait for the first picture of the first source, or where it may be missing for one of any.

        Return its place in `pictures`, and it; None without a source that gives one, where the first may be missing.
        Raises why there is no picture otherwise, and when `stopping` is set before.
        """
        index = self._first_that_gives(stopping)
        frame = None if index is None else self.pictures[index][2].get(0.0)
        if index is not None and frame is not None:
            return index, frame
        if stopping.is_set():
            raise LiputError(STOPPED)
        if self._first_may_miss:
            return None
        (picture, _, reader), *_ = self.pictures
        if reader.at_end:
            raise MediaError(f"{picture.name} holds no pictures", hint="choose a file with video in it")
        if reader.is_over and picture.name in self._losses:
            raise self._losses[picture.name]
        raise DeviceError(
            f"{picture.name} gives no picture", hint="check its cable and that it is switched on, then try again"
        )

    def _first_that_gives(self, stopping: threading.Event) -> int | None:
        """Return the place of the source whose picture the session begins with; note who is late for that."""
        clock, may_miss = self._clock, self._first_may_miss
        limit_ns = clock.now_ns() + round((GRACE_S if may_miss else FIRST_PICTURE_S) * NANOSECONDS)
        if may_miss:
            limit_ns = max(limit_ns, self._began_ns + round(MISSED_S * NANOSECONDS))
        while True:
            given = {index for index, (_, _, reader) in enumerate(self.pictures) if reader.has_items}
            awaited = [index for index in range(len(self.pictures) if may_miss else 1) if self._may_give(index)]
            if given and may_miss:
                limit_ns = min(limit_ns, clock.now_ns() + round(GRACE_S * NANOSECONDS))
            is_there = bool(awaited) and awaited[0] in given
            if is_there or not awaited or clock.now_ns() >= limit_ns or clock.wait(stopping, WATCH_S):
                break
        opening = {name for name, one in self._openings.items() if not one.is_over}
        silent = {picture.name for index, (picture, _, _) in enumerate(self.pictures) if index not in given}
        self.late = opening if is_there else silent
        named = zip(self.sounds, self._sound_openings, strict=True)
        self.late_sounds = {sound.name for (sound, _), one in named if not one.is_over}
        if may_miss:
            return min(given, default=None)
        return 0 if 0 in given else None

    @property
    def _first_may_miss(self) -> bool:
        return self._openings[self.pictures[0][0].name].may_miss

    def _may_give(self, index: int) -> bool:
        picture, _, reader = self.pictures[index]
        return self._openings[picture.name].error is None and not reader.is_over

    def _lost(self, name: str) -> Callable[[LiputError], None]:
        def on_lost(error: LiputError) -> None:
            self._losses[name] = error
            kind = "file-broken" if isinstance(error, MediaError) else "source-lost"
            self._emit(kind, name, error.message, hint=error.hint)

        return on_lost

    def _absent(self, name: str) -> Callable[[Absence], None]:
        def on_absence(absence: Absence) -> None:
            self._emit("source-lost", name, absence.reason, hint=absence.hint, clock_ns=absence.since_ns)

        return on_absence

    def _found(self, name: str) -> Callable[[Absence, Return], None]:
        def on_return(absence: Absence, found: Return) -> None:
            where = f" in port {found.device.port}" if found.device.port else ""
            doubt = "" if found.is_certain else "; it has no serial number, so it may be another of its make"
            away_s = (self._clock.now_ns() - absence.since_ns) / NANOSECONDS
            self._emit(
                "source-found",
                name,
                f"{name} is there again{where}{doubt}",
                device=found.device.id,
                port=found.device.port,
                moved_from=found.moved_from,
                away_s=round(away_s, 3),
            )

        return on_return

    def _hung(self, name: str) -> Callable[[int], None]:
        def on_hung(count: int) -> None:
            self._emit(
                "source-hung",
                name,
                f"{name} does not let go: closing it is left to the kernel ({count} so far)",
                count=count,
                hint=PLUG_AGAIN,
            )

        return on_hung


def _before_others[Opened](opening: Callable[[], Opened]) -> Callable[[], Opened]:
    """Return what does `opening`, and has the thread that has tried go before the others of its process from then on.

    Also where it is refused: then it is opened later, on the same thread.
    """

    def opened() -> Opened:
        try:
            return opening()
        finally:
            put_first()

    return opened
