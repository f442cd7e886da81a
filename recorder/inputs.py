"""The sources of one session: opened, read on threads of their own, and let go of."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from capture.kept import Absence, KeptAudio, KeptVideo, Return
from capture.reader import Reader
from capture.source import AudioBlock, Frame, Matrix, VideoFormat
from config.errors import DeviceError, LiputError, MediaError
from config.events import Emit
from devices.clock import NANOSECONDS, Clock
from recorder.isolate import Isolated, Tap, Where, file_names
from recorder.plan import PictureInput, SessionPlan
from recorder.sound.inputs import SoundInput

FIRST_PICTURE_S = 10.0
"""How long a source may take to its first picture: a USB camera needs up to 5 s to say that it will not."""
LIVE_QUEUE_S = 1.0
"""How much of a live source may wait before its oldest is dropped."""
FAST_QUEUE = 8
AUDIO_QUEUE = 256
WATCH_S = 0.2


class SessionInputs:
    """Owns the sources and their readers; used by the session's thread."""

    def __init__(self, plan: SessionPlan, *, clock: Clock, emit: Emit) -> None:
        self.pictures: list[tuple[PictureInput, VideoFormat, Reader[Frame]]] = []
        """Each source of pictures with what it gives (what is wanted of it, while it is missing), and its reader."""
        self.sounds: list[tuple[SoundInput, Reader[AudioBlock]]] = []
        self._plan = plan
        self._clock = clock
        self._emit = emit
        self._losses: dict[str, LiputError] = {}
        self._missing: set[str] = set()
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
        return replace(self._wanted, matrix=form.matrix) if others or picture.name in self._missing else form

    @property
    def dropped(self) -> int:
        """How many pictures came and were not taken in time, in all."""
        return sum(reader.dropped for _, _, reader in self.pictures)

    def open(self, stack: ExitStack) -> None:
        """Open every source, sound first: it runs when the first picture comes, which is where the session begins.

        Raises the LiputError of the first that cannot be opened, unless the plan allows it to be missing.
        """
        for sound in self._plan.sounds:
            stack.callback(sound.source.close)
            if isinstance(sound.source, KeptAudio):
                sound.source.listen(self._absent(sound.name), self._found(sound.name), self._hung(sound.name))
            self._try(sound.name, sound.source.open)
            lost = self._lost(sound.name)
            reader = Reader(sound.source, bound=AUDIO_QUEUE, waits=not self._plan.live, on_lost=lost)
            self.sounds.append((sound, reader))
        for picture in self._plan.pictures:
            stack.callback(picture.source.close)
            if isinstance(picture.source, KeptVideo):
                picture.source.listen(self._absent(picture.name), self._found(picture.name), self._hung(picture.name))
            form = self._try(picture.name, picture.source.open) or self._wanted
            self.pictures.append((picture, form, self._picture_reader(picture, form)))

    def _try[Opened](self, name: str, opening: Callable[[], Opened]) -> Opened | None:
        try:
            return opening()
        except DeviceError as error:
            if not self._plan.allow_missing:
                raise
            self._missing.add(name)
            self._losses[name] = error
            return None

    def _picture_reader(self, picture: PictureInput, form: VideoFormat) -> Reader[Frame]:
        is_live = self._plan.live
        bound = max(FAST_QUEUE, round(form.rate * LIVE_QUEUE_S)) if is_live else FAST_QUEUE
        tap = Tap(picture.source)
        if self._plan.isolate:
            self._taps[picture.name] = tap
        return Reader(tap, bound=bound, waits=not is_live, on_lost=self._lost(picture.name))

    def start(self, stack: ExitStack) -> None:
        """Begin to read."""
        self._plan.pace.begin()
        for reader in self.readers:
            stack.callback(reader.stop)
            reader.start()

    @property
    def readers(self) -> Sequence[Reader[Frame] | Reader[AudioBlock]]:
        """Every reader."""
        return [*(reader for _, _, reader in self.pictures), *(reader for _, reader in self.sounds)]

    def isolate(self, stack: ExitStack, where: Where, zero_ns: int) -> None:
        """Record each source of pictures apart too, from now on; `zero_ns` is the clock's time at media time 0."""
        files, sync_s = file_names(self._taps), self._plan.recording.sync_s
        for name, tap in self._taps.items():
            tap.isolated = Isolated(where, name, zero_ns, self._emit, file=files[name], sync_s=sync_s)
            stack.callback(tap.isolated.close)

    def stop(self, timeout_s: float = 1.0) -> None:
        """Read no more; what hangs is left to itself after `timeout_s` each."""
        for reader in self.readers:
            reader.stop(timeout_s)

    def first(self, stopping: threading.Event) -> tuple[int, Frame] | None:
        """Wait for the first picture of the first source that is there; return its place in `pictures`, and it.

        Without a source that gives one, None if the plan allows that. Raises why there is no picture otherwise, and
        when `stopping` is set before.
        """
        there = [index for index, (picture, _, _) in enumerate(self.pictures) if picture.name not in self._missing]
        if there and (frame := self._wait(self.pictures[there[0]][2], stopping)) is not None:
            return there[0], frame
        if stopping.is_set():
            raise LiputError("stopped before the first picture came; nothing was recorded")
        if self._plan.allow_missing:
            return None
        (picture, _, reader), *_ = self.pictures
        if reader.at_end:
            raise MediaError(f"{picture.name} holds no pictures", hint="choose a file with video in it")
        if reader.is_over and picture.name in self._losses:
            raise self._losses[picture.name]
        raise DeviceError(
            f"{picture.name} gives no picture", hint="check its cable and that it is switched on, then try again"
        )

    def _wait(self, reader: Reader[Frame], stopping: threading.Event) -> Frame | None:
        deadline_ns = self._clock.now_ns() + int(FIRST_PICTURE_S * NANOSECONDS)
        while self._clock.now_ns() < deadline_ns and not stopping.is_set():
            if first := reader.get(WATCH_S):
                return first
            if reader.is_over:
                return None
        return None

    def _lost(self, name: str) -> Callable[[LiputError], None]:
        def on_lost(error: LiputError) -> None:
            self._losses[name] = error
            self._emit("source-lost", name, error.message, hint=error.hint)

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
                hint="unplug it and plug it in again",
            )

        return on_hung
