"""The settings, their kinds and defaults, and the file that they come from; a field of Settings is a table.

A test compares `config/default.toml`.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import msgspec
import platformdirs

from config.errors import SettingsError, UsageError
from config.files import file_stamp
from config.locale.lookup import LANGUAGES
from config.settings import value_kinds
from config.settings.addresses import SCHEMES, STREAM_ADDRESS, parts_of, scheme_of
from config.settings.layouts import BUILT_IN_LAYOUTS, LayoutSettings, ProgramSettings
from config.settings.office import Office, RequestSettings, use_time_zone
from config.settings.quantities import NotAllowed, format_rate
from config.settings.reader import read_toml, tables_of
from config.settings.serving import (
    AlarmSettings,
    CopyTarget,
    FeedSettings,
    FixitySettings,
    ScheduleSettings,
    WebSettings,
)
from config.settings.value_kinds import did_you_mean


class ConferenceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The virtual camera and microphone that carry the program, without the far side, to a conference.

    `camera` is a path or a label of a V4L2 output node, `microphone` the name of a sink. Without a `layout` the camera
    shows the program's current one. `far_side` names the inputs, video and audio, that carry the far side. Screens and
    a sound server's output count as far side too, unless `near_side` names them.
    """

    always: Annotated[bool, value_kinds.SWITCH] = False
    camera: Annotated[str, value_kinds.TEXT] = "Liput"
    microphone: Annotated[str, value_kinds.TEXT] = "liput"
    layout: Annotated[str, value_kinds.TEXT] = ""
    width: Annotated[int, value_kinds.integer(64, 3840, even=True)] = 1280
    height: Annotated[int, value_kinds.integer(64, 2160, even=True)] = 720
    fps: Annotated[Fraction, value_kinds.frame_rate(60)] = Fraction(30)
    far_side: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    near_side: Annotated[tuple[str, ...], value_kinds.WORDS] = ()


UPLINK_SCHEMES = {"librespeed": ("http", "https"), "iperf3": ("iperf3",)}


class CheckSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the uplink is measured, the needs of a conference, and the operator's checklist.

    `uplink` names the peer: a LibreSpeed-compatible or an iperf3 `server` (an address; "" is none), the `ingest` of the
    destinations, or none. A `public` server is outside the campus, and is asked only with consent. A measurement moves
    at most `most_data` bytes in `streams` connections. `conference_up` and `conference_down` are the needs of Zoom or
    Meet, in bits a second. `equipment` lists things that no program can sense.
    """

    uplink: Annotated[str, value_kinds.choice((*UPLINK_SCHEMES, "ingest", "none"))] = "librespeed"
    server: Annotated[str, value_kinds.TEXT] = ""
    public: Annotated[bool, value_kinds.SWITCH] = False
    streams: Annotated[int, value_kinds.integer(1, 8)] = 6
    most_data: Annotated[int, value_kinds.size(1_000_000, 10**11)] = 100_000_000
    conference_up: Annotated[int, value_kinds.rate(0, 200_000_000)] = 3_800_000
    conference_down: Annotated[int, value_kinds.rate(0, 200_000_000)] = 3_000_000
    equipment: Annotated[tuple[str, ...], value_kinds.WORDS] = ("tripod", "cables")

    def problems(self) -> Iterator[tuple[str, str]]:
        schemes = UPLINK_SCHEMES.get(self.uplink)
        if schemes and self.server:
            form = f"must be an address, {' or '.join(f'{scheme}://HOST' for scheme in schemes)}"
            try:
                parts = parts_of(self.server, form)
            except NotAllowed as error:
                yield "server", str(error)
            else:
                if not parts.hostname or parts.scheme not in schemes:
                    yield "server", form


class RecordsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Records management data of every package, unless a session sets its own; "" is none.

    Liput deletes nothing because of it. `classification` is the code of the file plan (kode klasifikasi), `security`
    the security class, `retention_active` and `retention_inactive` the retention periods, `disposition` the final
    disposal (nasib akhir).
    """

    classification: Annotated[str, value_kinds.TEXT] = ""
    security: Annotated[str, value_kinds.TEXT] = ""
    retention_active: Annotated[str, value_kinds.TEXT] = ""
    retention_inactive: Annotated[str, value_kinds.TEXT] = ""
    disposition: Annotated[str, value_kinds.TEXT] = ""


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The report of each session, with its thumbnails sheet and levels.

    Its head has the office, the lines of `address` and a `logo` (PNG or JPEG). `signers` are the functions of at most
    three signers. `pdf`: a PDF is made too.
    """

    made: Annotated[bool, value_kinds.SWITCH] = True
    pdf: Annotated[bool, value_kinds.SWITCH] = True
    address: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    logo: Annotated[Path | None, value_kinds.FILE_PATH] = None
    signers: Annotated[tuple[str, ...], value_kinds.WORDS] = ("Koordinator PKIH", "Staf Humas")


class SlideSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The `inputs` that show slides, by role or name; no chapter is shorter than `least_s` seconds.

    With `text`, tesseract reads the slides in `languages` (its own codes), for at most `text_s` seconds of a sealing.
    """

    chapters: Annotated[bool, value_kinds.SWITCH] = True
    inputs: Annotated[tuple[str, ...], value_kinds.WORDS] = ("slides",)
    least_s: Annotated[float, value_kinds.seconds(4, 3600)] = 5.0
    text: Annotated[bool, value_kinds.SWITCH] = True
    languages: Annotated[tuple[str, ...], value_kinds.WORDS] = ("ind", "eng")
    text_s: Annotated[float, value_kinds.seconds(0, 3600)] = 120.0


LEAN_PRESET = "lean"  # Liput's own preset (recorder/encode/x264.py)
PRESETS = ("ultrafast", "superfast", LEAN_PRESET, "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""LEAN and x264's presets, the cheapest first."""

ENCODERS = ("x264", "auto", "nvenc", "qsv", "vaapi", "v4l2m2m")
STREAM_ENCODES = ("auto", "shared", "separate")
LEAST_STREAM_BPS = 300_000  # bits a second; below this a picture is hardly usable

_AS_LONG_AS_A_KEY = 20  # a longer name may be a key by mistake, and is not repeated
_BIT_RATE = value_kinds.rate(10_000, 200_000_000)


class GeneralSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Room and office, as written into every package, and the language of messages."""

    room: Annotated[str, value_kinds.TEXT] = ""
    office: Annotated[str, value_kinds.TEXT] = ""
    language: Annotated[str, value_kinds.choice(LANGUAGES)] = "id"


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The archive's folder, and the bytes of free space below which no session starts."""

    path: Annotated[Path, value_kinds.FILE_PATH] = msgspec.field(
        default_factory=lambda: platformdirs.user_videos_path() / "Liput"
    )
    reserve: Annotated[int, value_kinds.size(0, 2**60)] = 2_000_000_000


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Further folders like the archive's, in order: a recording continues there when a disk fills up or fails.

    With `mirror` the first of them takes a second file from the beginning. A recording leaves a disk with less than
    `keep_free` bytes. Less than `low_s` or `critical_s` seconds of space give a warning or an alarm. A disk that
    accepts no data for `stalled_s` is left for another one, or given up with `--pace fast`.
    """

    paths: Annotated[tuple[Path, ...], value_kinds.FILE_PATHS] = ()
    mirror: Annotated[bool, value_kinds.SWITCH] = False
    must_be_mounted: Annotated[bool, value_kinds.SWITCH] = True
    keep_free: Annotated[int, value_kinds.size(0, 2**60)] = 200_000_000
    low_s: Annotated[float, value_kinds.seconds(0, 86_400)] = 1800.0
    critical_s: Annotated[float, value_kinds.seconds(0, 86_400)] = 300.0
    stalled_s: Annotated[float, value_kinds.seconds(5, 3600)] = 10.0


class VideoDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """The default profile, the encoder, and the encode for live destinations.

    With `stream_encode` "separate" destinations get their own encode. Its bit rate follows their links, from
    `stream_least_bitrate` to `stream_bitrate`; None: derived from the profile (`stream_range`). "shared" streams the
    recording's encode. "auto" takes two encodes where this PC has the headroom. With `step_down` a session encodes less
    on a PC that does not keep up, with `adaptive_rate` fewer frames while the program stands still.
    """

    profile: Annotated[str, value_kinds.TEXT] = "1080p30"
    encoder: Annotated[str, value_kinds.choice(ENCODERS)] = "x264"
    stream_encode: Annotated[str, value_kinds.choice(STREAM_ENCODES)] = "auto"
    stream_bitrate: Annotated[int | None, _BIT_RATE] = None
    stream_least_bitrate: Annotated[int | None, _BIT_RATE] = None
    step_down: Annotated[bool, value_kinds.SWITCH] = True
    adaptive_rate: Annotated[bool, value_kinds.SWITCH] = False

    def stream_range(self, profile: "Profile") -> tuple[int, int]:
        """Return the least and the most bits a second of a separate live encode, beside a recording of `profile`."""
        most = profile.video_bitrate if self.stream_bitrate is None else self.stream_bitrate
        least = max(LEAST_STREAM_BPS, most // 4) if self.stream_least_bitrate is None else self.stream_least_bitrate
        return min(least, most), most

    def problems(self) -> Iterator[tuple[str, str]]:
        least, most = self.stream_least_bitrate, self.stream_bitrate
        if least is not None and most is not None and least > most:
            yield "stream_least_bitrate", f"must not be above stream_bitrate, {format_rate(most)}"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Pixels, frames per second, bits per second; with `low_latency` the encoder holds no frame back."""

    width: Annotated[int, value_kinds.integer(64, 7680, even=True)]
    height: Annotated[int, value_kinds.integer(64, 4320, even=True)]
    fps: Annotated[Fraction, value_kinds.frame_rate(120)]
    video_bitrate: Annotated[int, _BIT_RATE]
    maxrate: Annotated[int | None, _BIT_RATE] = None
    preset: Annotated[str, value_kinds.choice(PRESETS)] = LEAN_PRESET
    keyframe_s: Annotated[float, value_kinds.seconds(0.25, 20)] = 2.0
    low_latency: Annotated[bool, value_kinds.SWITCH] = False
    audio_bitrate: Annotated[int, value_kinds.rate(16_000, 512_000)] = 128_000
    audio_channels: Annotated[int, value_kinds.integer(1, 2)] = 2

    @property
    def max_bitrate(self) -> int:
        """The bits per second that the encoder's buffer model never exceeds: `maxrate`, or `video_bitrate`."""
        return self.video_bitrate if self.maxrate is None else self.maxrate

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.max_bitrate < self.video_bitrate:
            yield "maxrate", f"must not be below video_bitrate, {format_rate(self.video_bitrate)}"


class RecordingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of media in a fragment and between two syncs (the loss at a crash), and of pre-roll."""

    # Bounded, so that a stalled disk is reported within 5 s.
    fragment_s: Annotated[float, value_kinds.seconds(0.1, 1)] = 0.1
    sync_s: Annotated[float, value_kinds.seconds(0.1, 1)] = 0.5
    pre_roll_s: Annotated[float, value_kinds.seconds(0, 300)] = 30.0


class DeviceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Controls set on every camera that has them, unless a preset of that camera differs."""

    power_line_frequency: Annotated[str, value_kinds.choice(("50 Hz", "60 Hz", "off", "leave"))] = "50 Hz"


class HealthLogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Retention of the health log, in days and in bytes."""

    keep_days: Annotated[int, value_kinds.integer(1, 3660)] = 90
    max_size: Annotated[int, value_kinds.size(1_000_000, 2**50)] = 200_000_000


class PatienceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of a frozen or black picture, or of silence, before that is a fault; None: by kind of device."""

    frozen_s: Annotated[float | None, value_kinds.seconds(1, 86_400)] = None
    black_s: Annotated[float | None, value_kinds.seconds(1, 86_400)] = None
    silence_s: Annotated[float | None, value_kinds.seconds(1, 86_400)] = None


class AudioInputSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An audio input: its gain in the mix, and whether it is recorded apart too."""

    gain_db: Annotated[float, value_kinds.decibels(-60, 20)] = 0.0
    own_track: Annotated[bool, value_kinds.SWITCH] = False


class DestinationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A live destination: its address without secrets, and settings for one kind of address only.

    `ca_file`: the authorities that the server's certificate is checked against. `mode` and `latency_s` (seconds): of srt://.
    `test`: nobody watches it, so a rehearsal may stream to it.
    """

    url: Annotated[str, STREAM_ADDRESS]
    ca_file: Annotated[Path | None, value_kinds.FILE_PATH] = None
    mode: Annotated[str | None, value_kinds.choice(("caller", "listener"))] = None
    latency_s: Annotated[float | None, value_kinds.seconds(0.02, 10)] = None
    test: Annotated[bool, value_kinds.SWITCH] = False

    @property
    def scheme(self) -> str:
        return scheme_of(self.url)

    @property
    def needs_key(self) -> bool:
        """Whether it needs an entry in the file of keys."""
        return SCHEMES[self.scheme].key == "stream"

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.ca_file is not None and not SCHEMES[self.scheme].certificate:
            secure = " or ".join(f"{name}://" for name, scheme in SCHEMES.items() if scheme.certificate)
            yield "ca_file", f"goes with an {secure} address only: no other kind has a certificate"
        if self.scheme != "srt":
            for name in ("mode", "latency_s"):
                if getattr(self, name) is not None:
                    yield name, "goes with an srt:// address only"
        elif self.mode != "listener" and self.url.lower().startswith("srt://:"):
            yield "url", 'names no host to call; with mode = "listener" it waits for a caller'


BUILT_IN_PROFILES: Mapping[str, Profile] = {
    "1080p60": Profile(width=1920, height=1080, fps=Fraction(60), video_bitrate=7_000_000),
    "1080p30": Profile(width=1920, height=1080, fps=Fraction(30), video_bitrate=4_500_000),
    "1080p30-low-latency": Profile(
        width=1920, height=1080, fps=Fraction(30), video_bitrate=4_500_000, low_latency=True
    ),
    "1080p25": Profile(width=1920, height=1080, fps=Fraction(25), video_bitrate=4_500_000),
    "720p30": Profile(width=1280, height=720, fps=Fraction(30), video_bitrate=2_500_000),
    "480p15": Profile(width=854, height=480, fps=Fraction(15), video_bitrate=800_000, audio_bitrate=96_000),
    "240p15": Profile(width=320, height=240, fps=Fraction(15), video_bitrate=300_000, audio_bitrate=64_000),
}


BUILT_IN_PATIENCE: Mapping[str, PatienceSettings] = {
    # A camera's sensor is never quite still; a capture card's input may be, as long as a slide stays.
    "camera": PatienceSettings(frozen_s=3.0, black_s=5.0, silence_s=20.0),
    "capture-card": PatienceSettings(frozen_s=1800.0, black_s=30.0, silence_s=20.0),
    "microphone": PatienceSettings(frozen_s=3.0, black_s=5.0, silence_s=20.0),
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, from a file or by default. Holds no secret."""

    keys_file: Annotated[Path | None, value_kinds.FILE_PATH] = None
    general: GeneralSettings = GeneralSettings()
    archive: ArchiveSettings = msgspec.field(default_factory=ArchiveSettings)
    storage: StorageSettings = StorageSettings()
    video: VideoDefaults = VideoDefaults()
    profiles: Mapping[str, Profile] = msgspec.field(default_factory=lambda: BUILT_IN_PROFILES)
    program: ProgramSettings = ProgramSettings()
    layouts: Mapping[str, LayoutSettings] = msgspec.field(default_factory=lambda: BUILT_IN_LAYOUTS)
    conference: ConferenceSettings = ConferenceSettings()
    recording: RecordingSettings = RecordingSettings()
    devices: DeviceSettings = DeviceSettings()
    health: HealthLogSettings = HealthLogSettings()
    check: CheckSettings = CheckSettings()
    office: Office = Office()
    request: RequestSettings = RequestSettings()
    slides: SlideSettings = SlideSettings()
    report: ReportSettings = ReportSettings()
    fixity: FixitySettings = FixitySettings()
    web: WebSettings = WebSettings()
    records: RecordsSettings = RecordsSettings()
    alarms: AlarmSettings = AlarmSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    patience: Mapping[str, PatienceSettings] = msgspec.field(default_factory=lambda: BUILT_IN_PATIENCE)
    sound: Mapping[str, AudioInputSettings] = msgspec.field(default_factory=dict)
    destinations: Mapping[str, DestinationSettings] = msgspec.field(default_factory=dict)
    copies: Mapping[str, CopyTarget] = msgspec.field(default_factory=dict)
    feeds: Mapping[str, FeedSettings] = msgspec.field(default_factory=dict)
    file: Path | None = None  # the file they come from; None with defaults only
    text: str = ""  # the content of `file`
    lines: Mapping[tuple[str, ...], int] = msgspec.field(default_factory=dict)
    """The line in `file` of each setting, by its keys."""

    def profile(self, name: str | None = None) -> Profile:
        """Return the profile `name`, or the one in `[video]`; raises UsageError for an unknown name."""
        return _known("profile", self.video.profile if name is None else name, self.profiles)

    def layout(self, name: str | None = None) -> LayoutSettings:
        """Return the layout `name`, or the one in `[program]`; raises UsageError for an unknown name."""
        return _known("layout", self.program.layout if name is None else name, self.layouts)

    def destination(self, name: str) -> DestinationSettings:
        """Return the destination `name`; raises UsageError, which repeats no name that may be a key."""
        return _known("destination", name, self.destinations, is_safe=len(name) < _AS_LONG_AS_A_KEY)

    def copy(self, name: str) -> CopyTarget:
        """Return the place for copies `name`; raises UsageError for an unknown name."""
        return _known("place for copies", name, self.copies, table="copies")

    def feed(self, name: str) -> FeedSettings:
        """Return the calendar `name`; raises UsageError for an unknown name."""
        return _known("calendar", name, self.feeds, table="feeds")

    def sound_of(self, *names: str | None) -> AudioInputSettings:
        """Return the settings of an audio input by the first of `names` (its role, its kind) that has some."""
        return next((self.sound[name] for name in names if name and name in self.sound), AudioInputSettings())


def _known[T](what: str, name: str, known: Mapping[str, T], *, table: str = "", is_safe: bool = True) -> T:
    """Return the `[TABLE.NAME]` of a name; raises UsageError, which repeats the name only if it `is_safe`."""
    if name in known:
        return known[name]
    shown, names = f'"{name}"' if is_safe else "of that name", ", ".join(known)
    raise UsageError(
        f"there is no {what} {shown}{did_you_mean(name, known)}",
        hint=f"the {what.partition(' ')[0]}s are {names}"
        if names
        else f"add [{table or f'{what}s'}.NAME] with its url to the settings",
    )


CONSENTS = ("given", "refused", "not-asked")


class PlannedSession(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a `--session PLAN` file; fields are named like options of `liput record`, `for` is `length_s`.

    `equipment` lists things that no program can sense; None as in the settings. Without a `title` it is the event of
    the `request`.
    """

    title: Annotated[str, value_kinds.TEXT] = ""
    request: Annotated[str | None, value_kinds.TEXT] = None
    video: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    audio: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    stream: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    layout: Annotated[str | None, value_kinds.TEXT] = None
    profile: Annotated[str | None, value_kinds.TEXT] = None
    conference: Annotated[bool | None, value_kinds.SWITCH] = None
    isolate: Annotated[bool, value_kinds.SWITCH] = False
    length_s: Annotated[float | None, value_kinds.seconds(1, 7 * 86_400)] = None
    consent: Annotated[str, value_kinds.choice(CONSENTS)] = "not-asked"
    equipment: Annotated[tuple[str, ...] | None, value_kinds.WORDS] = None

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.title and not self.title.strip():
            yield "title", "the title is empty: name the session"
        elif not self.title and self.request is None:
            yield "title", "there is no title: name the session, or its request"


CONFIG_VARIABLE = "LIPUT_CONFIG"
SYSTEM_FILE = Path("/etc/liput/liput.toml")


def user_file() -> Path:
    """Return the path of this user's settings, which may not exist."""
    return platformdirs.user_config_path("liput") / "liput.toml"


def find_file(path: Path | None = None) -> Path | None:
    """Return the file in force: a named one (`path`, LIPUT_CONFIG) even if missing, else the first that exists."""
    if path is not None:
        return path
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    return next(filter(os.path.exists, (user_file(), SYSTEM_FILE)), None)  # Path.exists may raise


SECTIONS, NAMED_SECTIONS = tables_of(Settings)


def read_settings(text: str, file: Path) -> Settings:
    """Return the settings in `text`, the content of `file`; raises SettingsError with one line per problem."""
    settings, lines = read_toml(text, file, Settings, choices=(("video", "profile"), ("program", "layout")))
    return msgspec.structs.replace(settings, file=file, text=text, lines=lines)


def load_settings(path: Path | None = None, last_text: str | None = None) -> Settings:
    """Return the settings of `path`, LIPUT_CONFIG, the user's file or /etc's, over the defaults.

    Only the first existing file counts. An invalid one gives the settings of `last_text`, its last valid content; ""
    is that of no file. Afterwards this process's local time is in the office's time zone. Raises SettingsError for a
    missing named file, an unreadable one, and, all in one, for every mistake in it.
    """
    settings = Settings()
    if (found := find_file(path)) is not None:
        file = found.absolute()
        try:
            text = _text(file, "settings file", "`liput config default` prints one to start from")
            settings = read_settings(text, file)
        except SettingsError:
            if last_text is None:
                raise
            settings = read_settings(last_text, file) if last_text else settings
    use_time_zone(settings.office.time_zone)
    return settings


def load_planned(path: Path) -> PlannedSession:
    """Return the session planned in the file `path`; raises SettingsError as `load_settings` does."""
    file = path.absolute()
    return read_toml(_text(file, "plan", "liput check --help shows an example"), file, PlannedSession)[0]


def _text(file: Path, what: str, hint: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8 text", hint="save it again as UTF-8") from None
    except FileNotFoundError:
        raise SettingsError(f"there is no {what} {file}", hint=hint) from None
    except OSError as error:
        raise SettingsError(f"cannot read the {what} {file}: {error.strerror}") from error


def default_text() -> str:
    """Return the commented reference file with all defaults."""
    from importlib import resources  # loads in 15 ms, for this command only

    return resources.files("config").joinpath("default.toml").read_text(encoding="utf-8")


class CurrentSettings:
    """The settings, read again when their file changes. Thread-safe."""

    def __init__(self, file: Path | None) -> None:
        """`file` is the named one, or None for the default search."""
        self.file = file
        self._lock = threading.Lock()
        self._seen: object = None
        self._settings: Settings | SettingsError = Settings()

    def stamp(self) -> object:
        """Return a value that changes with the file; None where there is none."""
        return file_stamp(find_file(self.file))

    def read(self) -> Settings:
        """Return the settings; raises SettingsError."""
        with self._lock:
            seen = self.stamp()
            if seen != self._seen or seen is None:
                try:
                    self._settings = load_settings(self.file)
                except SettingsError as error:
                    self._settings = error
                self._seen = seen
            if isinstance(self._settings, SettingsError):
                raise self._settings.with_traceback(None)  # else it grows with each raise
            return self._settings
