"""Makes a session's plan from the request and the settings."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from capture.detectors.detector_factory import DetectorFactory
from capture.pacing import FastPace, Pace, RealPace
from capture.sources.source_kind import ChosenSources, SourceContext
from capture.sources.source_selector import NONE, SourceSelector
from capture.sources.worker import DeviceSupervision
from config.errors import LiputError, UsageError
from config.settings.schema import Profile, Settings, StorageSettings
from config.settings.secrets import StreamTarget, stream_name, stream_target
from devices.health.log_line import HealthLogger, discard_line
from devices.host.clock import Clock
from recorder.archive.archive import Archive, session_archives
from recorder.archive.seal_step import PlannedProgram, seal_steps
from recorder.encode.hardware_kinds import EncoderKind
from recorder.encode.session_encoder import EncoderPlan
from recorder.encode.x264 import STILL_RATE
from recorder.live.url import parse_live_url
from recorder.live_encode.headroom import AUTO, SHARED, HeadroomQuery, StreamPlan
from recorder.model.names import utf8_safe
from recorder.model.packet import Track
from recorder.package.metadata import Records, SealOptions, SessionContext
from recorder.program.mixer import SoundInput
from recorder.program.scene import Appearance, check_layout
from recorder.recording.iso import unique_file_names
from recorder.recording.replica_opener import check_archives
from recorder.session.hooks import make_hooks
from recorder.session.plan import SessionPlan
from recorder.session.request import SessionRequest

if TYPE_CHECKING:
    from capture.sources.locator import DeviceListing
    from recorder.recovery.resume import Resumption


@dataclass(frozen=True, slots=True)
class PreparedSession:
    """A plan, and notes for the operator."""

    plan: SessionPlan
    notes: Sequence[str]
    again: SessionRequest  # a request for the very same sources
    supervisions: Mapping[str, DeviceSupervision]  # device sources by device id
    left_out: Mapping[str, LiputError] = field(default_factory=dict)  # destinations without a usable address or key
    unknown: Mapping[str, str] = field(default_factory=dict)  # profile and layout replaced by others, with the reason


def plan_session(
    asked: SessionRequest,
    settings: Settings,
    clock: Clock,
    record: HealthLogger = discard_line,
    listing: "DeviceListing | None" = None,
    *,
    unattended: bool = False,
) -> PreparedSession:
    """Plan a session without opening a device; raises LiputErrors.

    `record` takes the health findings, `listing` lists the devices while it runs. An `unattended` session leaves out
    profile, layout, features and unknown destinations that cannot be had.
    """
    hooks = make_hooks(asked, settings)
    asked, unknown = _known_profile(asked, settings) if unattended else (asked, {})
    profile = settings.profile(asked.profile or settings.video.profile)
    targets, left_out = _targets(asked, settings, unattended=unattended)
    archives = _open_archives(asked, settings, clock)
    stop = threading.Event()
    pace = RealPace(clock, stop) if asked.live else FastPace(tuple(str(track) for track in Track))
    watcher = DetectorFactory(settings, clock, record, timing=hooks.timing)
    context = _source_context(asked, profile, pace, clock, stop, watcher, listing)
    chosen = SourceSelector(context, asked.known).choose(asked.videos, asked.audios)
    layout, no_layout = _choose_layout(asked, settings, chosen, unattended=unattended)
    hooks.plan(chosen, unattended=unattended)
    if not chosen.sounds:
        pace.finish(str(Track.AUDIO))
    plan = SessionPlan(
        profile=profile,
        pictures=chosen.pictures,
        sounds=_sound_inputs(chosen, settings, asked),
        layout=layout,
        appearance=Appearance(settings.layouts, settings.program, utf8_safe(asked.title), settings.general.language),
        isolate=asked.isolate,
        pace=pace,
        live=asked.live,
        ends=_finite_tracks(chosen),
        targets=targets,
        stream=_stream_plan(settings, profile, is_live=asked.live),
        duration_s=asked.duration_s,
        recording=settings.recording,
        # Hardware holds back any number of frames: static ones would be seconds late.
        encoder=EncoderPlan(EncoderKind.X264.value if settings.video.adaptive_rate else settings.video.encoder),
        adaptive_rate=settings.video.adaptive_rate,
        storage=settings.storage,
        archives=archives,
        stop=stop,
        hooks=hooks,
        resume=_resumption(archives, asked.resume, clock) if asked.resume else None,
        board=watcher.board,
        context=_context(asked, settings, chosen, targets, layout),
    )
    notes = [*chosen.notes, *_adaptive_rate_notes(plan, settings)]
    again = _repeated_request(asked, chosen)
    return PreparedSession(plan, notes, again, _supervisions(chosen), left_out, unknown | no_layout)


PREVIEW_PROFILE = Profile(width=640, height=360, fps=Fraction(2), video_bitrate=500_000, preset="ultrafast")


def preview_settings(settings: Settings) -> Settings:
    """Return `settings` for a preview: small, slow, and without pre-roll."""
    replace = msgspec.structs.replace
    video = replace(settings.video, adaptive_rate=False, encoder=EncoderKind.X264.value)
    return replace(
        settings,
        video=video,
        profiles=dict.fromkeys(settings.profiles, PREVIEW_PROFILE),
        storage=StorageSettings(),
        recording=replace(settings.recording, pre_roll_s=0.0),
    )


def _source_context(
    asked: SessionRequest,
    profile: Profile,
    pace: Pace,
    clock: Clock,
    stop: threading.Event,
    watcher: DetectorFactory,
    listing: "DeviceListing | None",
) -> SourceContext:
    return SourceContext(
        profile,
        pace,
        clock,
        stop,
        live=asked.live,
        watcher=watcher,
        allow_missing=asked.allow_missing,
        isolate=asked.isolate,
        listing=listing,
    )


def _open_archives(asked: SessionRequest, settings: Settings, clock: Clock) -> list[Archive]:
    reserve = settings.archive.reserve if asked.reserve is None else asked.reserve
    if asked.resume:  # a running session uses the reserve
        reserve = min(reserve, settings.storage.keep_free)
    places = session_archives(settings, clock, folder=asked.archive, reserve=reserve)
    check_archives(places, settings.storage, clock)
    return places


def _context(
    asked: SessionRequest, settings: Settings, chosen: ChosenSources, targets: Sequence[StreamTarget], layout: str
) -> SessionContext:
    return SessionContext(
        office=settings.general.office,
        room=settings.general.room,
        profile=asked.profile or settings.video.profile,
        destinations=tuple(target.name for target in targets),
        devices=tuple(chosen.devices),
        checked=asked.checked,
        request=asked.request,
        wishes=wishes_of(settings, [picture.name for picture in chosen.pictures], layout, isolate=asked.isolate),
        records=msgspec.convert(msgspec.to_builtins(settings.records) | dict(asked.records), Records),
        consent=asked.consent,
        practice=asked.practice,
    )


def _supervisions(chosen: ChosenSources) -> dict[str, DeviceSupervision]:
    sources = [*chosen.pictures, *chosen.sounds]
    return {one.device.id: one.supervision for one in sources if one.device and one.supervision}


def _adaptive_rate_notes(plan: SessionPlan, settings: Settings) -> Iterator[str]:
    if not plan.adaptive_rate:
        return
    few = f"{float(STILL_RATE):g} frames a second while nothing changes, none of them late: x264 does not look ahead"
    if plan.targets and plan.stream.encode == SHARED:
        yield f"adaptive frame rate: live destinations get {few}"
    elif plan.targets and plan.stream.encode == AUTO:
        yield f"adaptive frame rate: live destinations get every frame, or without an encode of their own {few}"
    if plan.encoder.wish != settings.video.encoder:
        yield f"adaptive frame rate: x264 encodes instead of [video] encoder ({settings.video.encoder})"


def _resumption(archives: Sequence[Archive], folder: Path, clock: Clock) -> "Resumption":
    from recorder.recovery.resume import lock_for_resume  # loaded for a resumed session only

    return lock_for_resume(archives, folder, clock)


def _repeated_request(asked: SessionRequest, chosen: ChosenSources) -> SessionRequest:
    return msgspec.structs.replace(
        asked,
        videos=tuple(picture.word for picture in chosen.pictures),
        audios=tuple(sound.word for sound in chosen.sounds) or (NONE,),
        known=tuple(chosen.known),
    )


def _sound_inputs(chosen: ChosenSources, settings: Settings, asked: SessionRequest) -> list[SoundInput]:
    """Return the audio inputs with their settings; `asked.isolate` gives each of several its own track."""
    several = len(chosen.sounds) > 1
    inputs = []
    for sound in chosen.sounds:
        device = sound.device
        treated = settings.sound_of(device.role, device.kind) if device else settings.sound_of(sound.name)
        inputs.append(
            SoundInput(
                sound.name,
                sound.source,
                sound.supervision,
                gain_db=treated.gain_db,
                own_track=treated.own_track or (asked.isolate and several),
                is_muted=sound.name in asked.muted,
            )
        )
    return inputs


def _stream_plan(settings: Settings, profile: Profile, *, is_live: bool) -> StreamPlan:
    least, most = settings.video.stream_range(profile)
    wish = settings.video.stream_encode if is_live else SHARED
    return StreamPlan(wish, least, HeadroomQuery(profile, most))


def _known_profile(asked: SessionRequest, settings: Settings) -> tuple[SessionRequest, dict[str, str]]:
    """Return the request without an unknown profile, and the profile with the reason."""
    try:
        settings.profile(asked.profile)
    except UsageError as error:
        return msgspec.structs.replace(asked, profile=None), {utf8_safe(str(asked.profile)): error.message}
    return asked, {}


def _choose_layout(
    asked: SessionRequest, settings: Settings, chosen: ChosenSources, *, unattended: bool
) -> tuple[str, dict[str, str]]:
    """Return the layout; for an unattended session also the unusable one with its reason."""
    inputs = [picture.name for picture in chosen.pictures]
    wished = settings.program.layout if asked.layout is None else asked.layout
    try:
        check_layout(wished, settings.layouts, inputs)
    except UsageError as error:
        for name in (settings.program.layout, *settings.layouts) if unattended else ():
            with contextlib.suppress(UsageError):
                check_layout(name, settings.layouts, inputs)
                return name, {utf8_safe(wished): error.message}
        raise
    return wished, {}


def _targets(
    asked: SessionRequest, settings: Settings, *, unattended: bool
) -> tuple[list[StreamTarget], dict[str, LiputError]]:
    """Return the destinations, and those without a usable address or key, which keep no recording from beginning.

    Raises the error of an unknown name or file: at a terminal it is a slip. An unattended session leaves it out, too.
    """
    for target in asked.targets:
        parse_live_url(target.url.reveal())
    targets = list(asked.targets)
    left_out: dict[str, LiputError] = {}
    for word in dict.fromkeys(asked.streams):
        try:
            target = stream_target(settings, word)
            parse_live_url(target.url.reveal())
            targets.append(target)
        except LiputError as error:
            if not unattended and word not in settings.destinations:
                raise
            left_out[utf8_safe("an address" if "://" in word else stream_name(word))] = error  # it may hold a key
    targets = [msgspec.structs.replace(target, name=utf8_safe(target.name)) for target in targets]
    if (targets or left_out) and not asked.live:
        raise UsageError("a live destination needs a stream in real time", hint="leave out --pace fast, or --stream")
    name, count = Counter(target.name for target in targets).most_common(1)[0] if targets else ("", 0)
    if count > 1:
        raise UsageError(
            f'{count} destinations would be called "{name}"', hint="rename one of the files with addresses"
        )
    return targets, left_out


def _finite_tracks(chosen: ChosenSources) -> frozenset[Track]:
    ends = {
        Track.VIDEO: chosen.pictures[0].ends,
        Track.AUDIO: bool(chosen.sounds) and all(sound.ends for sound in chosen.sounds),
    }
    return frozenset(track for track, does in ends.items() if does)


def wishes_of(settings: Settings, pictures: Sequence[str], layout: str, *, isolate: bool) -> SealOptions | None:
    """Return the wishes for sealing a session that begins with `layout`; None without any."""
    program = PlannedProgram(pictures, layout, unique_file_names(pictures) if isolate else {})
    wishes = none = SealOptions(language=settings.general.language)
    for step in seal_steps():
        wishes = step.plan(wishes, settings, program)
    return None if wishes == none else wishes
