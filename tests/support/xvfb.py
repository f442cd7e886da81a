"""An X server of one test's own whose screen the test paints: Xvfb, with its frame buffer mapped from a file."""

import contextlib
import mmap
import os
import select
import signal
import struct
import subprocess
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

_HEADER_SIZE, _STRIDE, _COLOURS = 0, 12, 19  # fields of an XWD header, each of four bytes, big-endian


class Xvfb:
    """The server; a context manager. `pixels` is what it shows, shape (height, width, 4): blue, green, red, unused."""

    def __init__(self, folder: Path, width: int = 640, height: int = 360, *, display: str | None = None) -> None:
        self.display = display or ""
        self.size = width, height
        self._folder = folder
        self._cleanup = contextlib.ExitStack()
        self.process: subprocess.Popen[bytes] | None = None
        self.pixels: NDArray[np.uint8] = np.empty((0, 0, 4), np.uint8)

    def __enter__(self) -> Self:
        width, height = self.size
        mine, its = os.pipe()
        self._cleanup.callback(os.close, mine)
        command = ["Xvfb", *([self.display] if self.display else []), "-displayfd", str(its), "-nolisten", "tcp"]
        command += ["-screen", "0", f"{width}x{height}x24", "-fbdir", str(self._folder), "-nocursor"]
        self.process = subprocess.Popen(command, pass_fds=[its], stderr=subprocess.DEVNULL)
        os.close(its)
        assert select.select([mine], [], [], 60)[0], "Xvfb does not start"
        self.display = f":{os.read(mine, 32).decode().strip()}"
        self.pixels = self._mapped()
        return self

    def _mapped(self) -> NDArray[np.uint8]:
        file = self._cleanup.enter_context((self._folder / "Xvfb_screen0").open("r+b"))
        memory = mmap.mmap(file.fileno(), 0)
        header = struct.unpack(">25I", memory[:100])
        begin = header[_HEADER_SIZE] + 12 * header[_COLOURS]
        width, height = self.size
        rows = np.frombuffer(memory, np.uint8, height * header[_STRIDE], begin).reshape(height, header[_STRIDE])
        return rows[:, : 4 * width].reshape(height, width, 4)

    def show(self, grey: NDArray[np.uint8]) -> None:
        """Paint the whole screen in greys, shape (height, width)."""
        self.pixels[:, :, :3] = grey[:, :, None]

    def hang(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does, but for the lock that one leaves behind."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            for path in (Path(f"/tmp/.X{self.display[1:]}-lock"), Path(f"/tmp/.X11-unix/X{self.display[1:]}")):
                path.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._cleanup.close()
