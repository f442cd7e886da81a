"""The conference's video: a layout of the near inputs, written to a virtual camera, on its own thread.

    video track --NearInput, newest only--> stage -> Packer -> output node

A missing, refused or lost node is reported once per reason, and tried again. While no program reads the node, if it
can tell, one frame a second keeps it a camera.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import av

from capture.compose.cards import draw_card
from capture.media.convert import FramePacker
from capture.media.pictures import Plane, copy_planes, plane_views, tag_frame
from capture.source import ColorMatrix, Size, VideoFormat
from capture.sources.worker import SourceOutage
from config.locale.lookup import ProgramCard, picture_text
from config.settings.layouts import SINGLE
from devices.host.clock import NANOSECONDS, Clock
from devices.video_outputs import VideoOutput, VideoOutputWriter, find_output
from recorder.features.conference.conference_task import CLOSE_S, ConferenceTask
from recorder.features.conference.plan import ConferencePlan, near_layouts
from recorder.model.status import ConferenceOutput
from recorder.program.scene import Appearance, SceneRenderer, SceneView
from recorder.program.timeline import RunContext
from recorder.program.video_input import VideoInput

EARLY = 0.9  # part of an interval; sooner frames are skipped


class NearInput:
    """One input on the conference's stage, copied on demand; the video track calls `take`, this thread all else."""

    def __init__(self, video: VideoInput, clock: Clock, on_picture: Callable[[], None]) -> None:
        self.name = video.name
        self.picture: av.VideoFrame | None = None
        self.version = 0
        self.size: Size | None = None  # size on screen; None while hidden
        self.every_s = 0.0  # least time between two copies
        self.failure: Exception | None = None
        self._video = video
        self._whole: Size = 0, 0
        self._clock = clock
        self._on_picture = on_picture
        self._copies: dict[int, tuple[av.VideoFrame, tuple[Plane, ...]]] = {}
        self._lock = threading.Lock()
        self._newest: int | None = None
        self._shown: int | None = None
        self._taken_ns = 0

    @property
    def wanted(self) -> Size | None:
        """Size of the frame wanted now; None while hidden, or too soon after the last one."""
        is_time = self._clock.now_ns() - self._taken_ns >= self.every_s * EARLY * NANOSECONDS
        return self.size if is_time else None

    def take(self, picture: av.VideoFrame) -> None:
        """Copy `picture` if wanted; returns at once, never raises."""
        if self.wanted is None:
            return
        self._taken_ns = self._clock.now_ns()
        try:
            self._keep(picture)
        except Exception as error:  # any error: the recording goes on
            self.failure = error
            return
        self._on_picture()

    def _keep(self, picture: av.VideoFrame) -> None:
        with self._lock:
            free = next(number for number in range(3) if number not in {self._newest, self._shown})
        copy, planes = self._copies.get(free, (None, ()))
        if copy is None or (copy.width, copy.height) != (picture.width, picture.height):
            copy = tag_frame(av.VideoFrame(picture.width, picture.height, "yuv420p"), ColorMatrix.BT601)
            planes = plane_views(copy)
            self._copies[free] = copy, planes
        copy_planes(plane_views(picture), planes)
        copy.colorspace = picture.colorspace
        with self._lock:
            self._newest = free

    def newest(self) -> av.VideoFrame | None:
        """Return a newer frame, if any; it stays unchanged until the next one is returned."""
        with self._lock:
            if self._newest is None:
                return None
            self._shown, self._newest = self._newest, None
            return self._copies[self._shown][0]

    @property
    def outage(self) -> SourceOutage | None:
        """Why a slate stands for it; None while it gives frames."""
        return self._video.outage

    @property
    def within(self) -> Size | None:
        """Size on screen; None for the whole frame."""
        return None if self.size == self._whole else self.size

    @within.setter
    def within(self, size: Size | None) -> None:
        self.size = size or self._whole

    def begin(self, whole: Size) -> None:
        """Restart with frames of the size `whole`."""
        self._whole, self.picture = whole, None

    def update(self, *, is_shown: bool, every_s: float) -> None:
        """Take a newer frame; a hidden input asks for none. Raises the error of a failed copy."""
        self.every_s = every_s
        if not is_shown:
            self.size = None
        elif self.size is None:
            self.size = self._whole
        if failure := self.failure:
            self.failure = None
            raise failure
        picture = self.newest()
        if picture is not None:
            self.picture = picture
            self.version += 1


IDLE_S = 1.0  # interval of frames while no program reads the node
SOON = 0.6  # part of an interval; sooner frames wait until then
LATE = 2.0  # intervals after which the last frame repeats
TAKES_S = 3.0  # time without a written frame after which the node is reported


class ConferenceCamera(ConferenceTask):
    """Writes the conference's video; `shows` returns the program's layout or card."""

    def __init__(
        self,
        plan: ConferencePlan,
        inputs: Sequence[VideoInput],
        appearance: Appearance,
        *,
        shows: Callable[[], str],
        run: RunContext,
        find: Callable[[str], VideoOutput] = find_output,
        open_node: Callable[[VideoOutput, int, int, Fraction], VideoOutputWriter] = VideoOutputWriter,
    ) -> None:
        super().__init__("camera", "picture", run)
        self._plan = plan
        self._inputs = inputs
        self._appearance = appearance
        self._shows = shows
        self._find = find
        self._open = open_node
        self._news = threading.Event()
        self._near = []
        for one in inputs:
            if one.name not in plan.far_pictures:  # far inputs are never asked for frames
                one.tap = near = NearInput(one, run.clock, self._news.set)
                self._near.append(near)

    def stop(self) -> None:
        """Begin to show the last card and to close the node; returns at once."""
        super().stop()
        self._news.set()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Stop, wait until `timeout_s` after the first `stop`, and free the inputs."""
        super().close(timeout_s)
        self._release_inputs()

    def _serve(self) -> None:
        try:
            self._show()
        finally:
            self._release_inputs()

    def _release_inputs(self) -> None:
        for one in self._near:
            one.size = None

    def _show(self) -> None:
        """Write to the node until the end; raises the reason of an early end."""
        settings = self._plan.settings
        info = self._find(settings.camera)
        node = self._open(info, settings.width, settings.height, settings.fps)
        try:
            painter = ConferencePainter(
                self._plan, self._near, self._appearance, node.size, [one.name for one in self._inputs]
            )
            packer = FramePacker(node.format)
            node.write(packer.pack(painter.picture(self._shows())))  # fails if the node is in use
            node.stay()
            self._report_live(info, node)
            self._write(info, node, painter, packer)
            node.write(packer.pack(painter.end()))
        finally:
            node.close()

    def _report_live(self, info: VideoOutput, node: VideoOutputWriter) -> None:
        self.live(
            f"The conference's picture goes to {info.label} ({info.node})",
            node=info.node,
            width=node.size[0],
            height=node.size[1],
            format=node.format,
        )

    def _write(
        self, info: VideoOutput, node: VideoOutputWriter, painter: "ConferencePainter", packer: FramePacker
    ) -> None:
        """Write each new frame at once; repeat the last one without a new one."""
        taken_ns = self._clock.now_ns()
        packed: memoryview | None = None
        state: object = None
        while not self.stopped.is_set():
            self._news.clear()  # first, so no news is missed
            every_s = self._interval_s(node)
            painter.update(every_s)
            picture = painter.picture(self._shows())
            if packed is None or painter.state != state:
                packed, state = packer.pack(picture), painter.state
            now_ns = self._clock.now_ns()
            if node.write(packed):
                taken_ns = now_ns
                if self.is_lost:
                    self._report_live(info, node)
            elif now_ns - taken_ns > TAKES_S * NANOSECONDS:
                self.lost("stalled", f"{info.label} ({info.node}) takes no frames", "close the program that uses it")
            self._wait(every_s)

    def _interval_s(self, node: VideoOutputWriter) -> float:
        is_idle = node.is_looked_at is False
        if not self.is_lost:
            self.line = ConferenceOutput(state="idle" if is_idle else "live")
        return IDLE_S if is_idle else float(1 / self._plan.settings.fps)

    def _wait(self, every_s: float) -> None:
        """Wait for the next frame: at least its interval, and not much longer."""
        wrote_ns = self._clock.now_ns()
        self._clock.wait(self._news, every_s * (LATE if every_s < IDLE_S else 1.0))
        early_s = every_s * SOON - (self._clock.now_ns() - wrote_ns) / NANOSECONDS
        if early_s > 0:
            self._clock.wait(self.stopped, early_s)


class ConferencePainter:
    """Draws the conference's video from near inputs only; for its thread."""

    def __init__(
        self,
        plan: ConferencePlan,
        near: Sequence[NearInput],
        appearance: Appearance,
        size: tuple[int, int],
        inputs: Sequence[str],
    ) -> None:
        """Take the `near` inputs, and the names of all inputs in the layouts' order."""
        self._plan = plan
        self._appearance = appearance
        # Cameras, sticks and screens use BT.601, and readers of a camera expect it.
        form = VideoFormat(*size, plan.settings.fps, ColorMatrix.BT601)
        self._form = form
        self._near = near
        for one in near:
            one.begin(size)
        self._layouts = near_layouts(appearance.layouts, inputs, plan.far_pictures)
        self._stage = SceneRenderer(self._near, form, replace(appearance, layouts=self._layouts))
        self._view: SceneView | None = None
        self._requested: str | None = None  # the last requested layout
        self._title_card: av.VideoFrame | None = None

    @property
    def state(self) -> object:
        """Identity of the frame: equal states show the same."""
        absences = [(one.version, one.outage) for one in self._near]  # read once: they change meanwhile
        kinds = tuple((version, absence.kind if absence else None) for version, absence in absences)
        return self._view.name if self._view else None, kinds

    def update(self, every_s: float) -> None:
        """Take the inputs' new frames, and ask for more in the next `every_s`."""
        for one in self._near:
            is_shown = self._view is not None and one.name in self._view.shown
            one.update(is_shown=is_shown, every_s=every_s)

    def picture(self, program: str) -> av.VideoFrame:
        """Return the frame for a program that shows the layout or card called `program`."""
        name = self._plan.settings.layout or program
        if name != self._requested:
            self._view, self._requested = self._find_view(name), name
            self.update(0.0)
        if self._view and (shown := self._stage.show(self._view)):
            return shown
        if self._title_card is None:
            self._title_card = self._card(self._appearance.title, "")
        return self._title_card

    def _find_view(self, name: str) -> SceneView | None:
        """Return the view called `name`; None if no near input fills it."""
        if name in set(ProgramCard):
            return self._stage.view(name)
        if not self._near:
            return None
        return self._stage.view(name if name in self._layouts else SINGLE)

    def end(self) -> av.VideoFrame:
        """Return the last card."""
        return self._card(picture_text(ProgramCard.END, self._appearance.language), self._appearance.title)

    def _card(self, title: str, line: str) -> av.VideoFrame:
        return draw_card(self._form.width, self._form.height, title=title, line=line, matrix=self._form.matrix)
