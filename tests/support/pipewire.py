"""PipeWire in PulseAudio's place, with a microphone made of software: see tests/support/pulse.py.

It runs without a session bus, which it says in its log and does not need.
"""

import subprocess

from tests.support.pulse import PulseMicrophone


class PipeWireMicrophone(PulseMicrophone):
    """The daemon, its session manager and its server for PulseAudio's clients."""

    PACKAGES = "pipewire pipewire-pulse wireplumber pulseaudio-utils"

    def _start(self) -> subprocess.Popen[bytes]:
        socket = self._runtime / "pulse" / "native"
        self._socket.symlink_to(socket)
        self._run("pipewire")
        self._wait_for((self._runtime / "pipewire-0").exists)
        self._run("wireplumber")
        server = self._run("pipewire-pulse")
        self._wait_for(socket.exists)
        self._wait_for(lambda: self._pactl("info").returncode == 0)
        self.control("load-module", "module-null-sink", "sink_name=mic", f"rate={self._rate}", "channels=2")
        return server
