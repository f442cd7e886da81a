"""Sets up the virtual camera and microphone of a conference, checks them and takes them away."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from capture.sound import virtual
from capture.sound.server import NoServerError
from config.errors import DeviceError, UsageError
from config.settings.schema import ConferenceSettings
from devices.video_outputs import find_output

MODULE = "v4l2loopback"
LABEL = "Liput"
FIRST_NUMBER, LAST_NUMBER = 10, 63
MARK = "# Liput's virtual microphone (liput conference setup --undo takes it away)"
END = "# End of Liput's virtual microphone"
_SBIN = "/usr/sbin:/sbin"  # Debian has modinfo here, which is not on every PATH
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class ConferenceCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement of a conference: whether it is met, the finding, and the fix."""

    name: str
    ok: bool
    message: str
    hint: str = ""


class ConferencePaths:
    """Files of this PC; tests have their own folders."""

    def __init__(self, etc: Path = Path("/etc"), sys: Path = Path("/sys"), config: Path | None = None) -> None:
        config = config or Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self.modprobe = etc / "modprobe.d"
        self.load = etc / "modules-load.d/liput-conference.conf"  # loads the module at boot
        self.options = self.modprobe / "liput-conference.conf"  # has the module's options
        self.module = sys / "module" / MODULE  # exists while the module is loaded
        self.pipewire = config / "pipewire/pipewire-pulse.conf.d/liput-conference.conf"  # for PulseAudio's clients
        self.pulse = config / "pulse/default.pa"  # PulseAudio reads it at each login


def _missing(name: str, message: str, hint: str) -> ConferenceCheck:
    return ConferenceCheck(name=name, ok=False, message=message, hint=hint)


class CameraSetup:
    """The virtual camera: a kernel module, so all changes need root."""

    def __init__(self, settings: ConferenceSettings, places: ConferencePaths) -> None:
        self._camera = settings.camera
        self._places = places

    def checks(self) -> Iterator[ConferenceCheck]:
        node, problem = self._node()
        if node:
            yield ConferenceCheck(name="camera", ok=True, message=f"the virtual camera is {node}")
        elif not self.is_installed:
            yield _missing("module", f"the kernel module {MODULE} is not installed", _SETUP)
        elif not self.is_loaded:
            yield _missing("module", f"the kernel module {MODULE} is not loaded", _SETUP)
        if problem:
            yield _missing("camera", problem.message, problem.hint)
        if self.is_loaded and not self.is_exclusive:
            hint = "exclusive_caps=1 must stand among its options; then load it anew."
            yield _missing("exclusive", "Chrome does not see the virtual camera", hint)
        if not node and (others := self.foreign_options):
            hint = f"add Liput there: devices=2 card_label=...,{LABEL} exclusive_caps=1,1 and a number in video_nr"
            yield _missing("options", f"{others[0]} sets the options of {MODULE} for another program", hint)
        kept = self._places.load.is_file() and (self._places.options.is_file() or bool(self.foreign_options))
        message = "the virtual camera is there after the next start of the PC" if kept else "it is gone after a restart"
        ok, hint = kept or not self.is_wanted, "" if kept else _SETUP
        yield ConferenceCheck(name="camera-kept", ok=ok, message=message, hint=hint)

    def _node(self) -> tuple[str | None, DeviceError | None]:
        try:
            return find_output(self._camera).node, None
        except DeviceError as error:
            return None, error

    @property
    def is_wanted(self) -> bool:
        """Whether v4l2loopback is to make the node, and not another program."""
        node, _ = self._node()
        return node is None or self.is_loaded

    @property
    def is_installed(self) -> bool:
        """Whether the module is installed for this kernel."""
        if self.is_loaded:
            return True
        program = shutil.which("modinfo", path=f"{os.environ.get('PATH', '')}:{_SBIN}")
        return program is not None and not subprocess.run([program, "-n", MODULE], capture_output=True).returncode

    @property
    def is_loaded(self) -> bool:
        return self._places.module.is_dir()

    @property
    def is_exclusive(self) -> bool:
        """Whether a node in use is only a camera: Chrome accepts no other."""
        return "Y" in (_text(self._places.module / "parameters/exclusive_caps") or "Y")

    @property
    def foreign_options(self) -> list[Path]:
        """Files of other programs, such as OBS, that set the module's options and would conflict."""
        others = (path for path in sorted(self._places.modprobe.glob("*.conf")) if path != self._places.options)
        return [path for path in others if f"options {MODULE}" in (_text(path) or "")]

    def commands(self) -> Iterator[str]:
        """Yield the shell commands for root; none if all is done."""
        node, problem = self._node()
        if problem is not None and problem.why == "denied":
            yield f"usermod -aG video {shlex.quote(os.environ.get('USER') or 'USER')}"
            return
        if not self.is_wanted:
            return
        if not self.is_installed:
            yield f"apt-get install -y linux-headers-{os.uname().release} v4l2loopback-dkms"
        if not self._places.load.is_file():
            yield _written(self._places.load, MODULE)
        options = f"options {MODULE} exclusive_caps=1 card_label={LABEL} video_nr={self._number()}"
        if not self.foreign_options and not self._places.options.is_file():
            yield _written(self._places.options, options)
        if node is None or not self.is_exclusive:
            if self.is_loaded:
                yield f"modprobe -r {MODULE}"
            yield f"modprobe {MODULE}"

    def _number(self) -> int:
        """Return the N of /dev/videoN: the one of the settings, or a free one."""
        if self._camera.startswith("/dev/video") and (number := self._camera.removeprefix("/dev/video")).isdecimal():
            return int(number)
        numbers = range(FIRST_NUMBER, LAST_NUMBER)
        return next((number for number in numbers if not Path(f"/dev/video{number}").exists()), LAST_NUMBER)

    def undo_commands(self) -> Iterator[str]:
        """Yield the shell commands for root that take the camera away."""
        ours = [path for path in (self._places.load, self._places.options) if path.is_file()]
        if ours:
            yield "rm -f " + " ".join(shlex.quote(str(path)) for path in ours)
            if self.is_loaded:
                yield f"modprobe -r {MODULE}"


class MicrophoneSetup:
    """The virtual microphone: this user's own, without root."""

    def __init__(self, settings: ConferenceSettings, places: ConferencePaths) -> None:
        self._sink = settings.microphone
        self._places = places
        if not _NAME.fullmatch(self._sink):
            raise UsageError(
                f"[conference] microphone cannot be {self._sink!r}", hint="letters, digits, and the signs _ . -"
            )

    def checks(self) -> Iterator[ConferenceCheck]:
        try:
            there = virtual.find(self._sink)
        except NoServerError as error:
            hint = "Log in to the desktop as this user, or start pipewire-pulse or pulseaudio."
            yield _missing("sound-server", str(error), hint)
            return
        server = "PipeWire" if there.is_pipewire else "PulseAudio"
        yield ConferenceCheck(name="sound-server", ok=True, message=f"{server} runs")
        for name, ok, what in (
            ("sink", there.sink, f'sink "{self._sink}"'),
            ("microphone", there.source, f'microphone "{virtual.source_name(self._sink)}"'),
        ):
            message = f"the {what} is there" if ok else f"there is no {what}"
            yield ConferenceCheck(name=name, ok=ok, message=message, hint="" if ok else _SETUP)
        kept = self._is_kept(is_pipewire=there.is_pipewire)
        message = "the virtual microphone is there after the next login" if kept else "it is gone after the next login"
        yield ConferenceCheck(name="microphone-kept", ok=kept, message=message, hint="" if kept else _SETUP)

    def _is_kept(self, *, is_pipewire: bool) -> bool:
        path, text = self._kept(is_pipewire=is_pipewire)
        return text in (_text(path) or "")

    def _kept(self, *, is_pipewire: bool) -> tuple[Path, str]:
        """Return the file that makes the microphone at each login, and its text."""
        loads = virtual.modules(self._sink).items()
        if is_pipewire:
            lines = [f'    {{ cmd = "load-module" args = "{name} {words}" flags = [ ] }}' for name, words in loads]
            return self._places.pipewire, "\n".join([MARK, "pulse.cmd = [", *lines, "]", END, ""])
        return self._places.pulse, "\n".join([MARK, *(f"load-module {name} {words}" for name, words in loads), END, ""])

    def make(self) -> Iterator[str]:
        """Make the microphone, now and for each login; yield a sentence for each step. Raises NoServerError."""
        there = virtual.find(self._sink)
        if not (there.sink and there.source):
            virtual.make(self._sink)
            yield f'the microphone "{virtual.LABEL}" was made'
        if not self._is_kept(is_pipewire=there.is_pipewire):
            path, text = self._kept(is_pipewire=there.is_pipewire)
            before = _without_ours(path)
            if before is None:  # a user's own file replaces the system's
                before = "" if there.is_pipewire else ".include /etc/pulse/default.pa\n"
            if before and not before.endswith("\n"):
                before += "\n"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(before + text)
            yield f"{path} makes it at every login"

    def planned(self) -> Iterator[str]:
        """Yield the steps of `make`. Raises NoServerError."""
        there = virtual.find(self._sink)
        loads = virtual.modules(self._sink)
        if not there.sink:
            yield f"pactl load-module module-null-sink {loads['module-null-sink']}"
        if not there.source:
            yield f"pactl load-module module-remap-source {loads['module-remap-source']}"
        if not self._is_kept(is_pipewire=there.is_pipewire):
            path, text = self._kept(is_pipewire=there.is_pipewire)
            yield f"add to {path}:\n" + text.rstrip()

    def undo(self) -> Iterator[str]:
        """Take the microphone away, now and for each login; yield a sentence for each step."""
        for path in (self._places.pipewire, self._places.pulse):
            rest = _without_ours(path)
            if rest is None or rest == _text(path):
                continue
            if rest.strip() in {"", ".include /etc/pulse/default.pa"}:
                path.unlink()
            else:
                path.write_text(rest)
            yield f"{path} does not make it any more"
        with contextlib.suppress(NoServerError):
            if virtual.remove(self._sink):
                yield f'the microphone "{virtual.LABEL}" was taken away'


_SETUP = "liput conference setup"


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _without_ours(path: Path) -> str | None:
    """Return a file's text without our part; None without a file."""
    text = _text(path)
    return None if text is None else re.sub(f"{re.escape(MARK)}.*?{re.escape(END)}\n?", "", text, flags=re.DOTALL)


def _written(path: Path, line: str) -> str:
    return f"echo {shlex.quote(line)} > {shlex.quote(str(path))}"


def conference_setups(settings: ConferenceSettings, places: ConferencePaths) -> tuple[CameraSetup, MicrophoneSetup]:
    """Return both parts; raises UsageError for an impossible name of a sink."""
    return CameraSetup(settings, places), MicrophoneSetup(settings, places)
