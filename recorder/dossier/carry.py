"""What a session takes along of its request: what was known at its beginning, and copies of the letters.

The copies are made while it records, on a thread of their own: the disk of the dossier may hang, and the recording does
not wait for it. Whoever seals the session makes up for what is missing (recorder/dossier/enclose.py).
"""

import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from config.errors import DossierError
from config.office import Office, zone_name
from devices.host.clock import NANOSECONDS, Clock
from devices.host.deadline import DeadlineTask
from recorder.archive.disk import Disk, aside_of
from recorder.dossier.letters import letter_content
from recorder.dossier.model import CarriedRequest, Letter, Request
from recorder.dossier.store import FILE, Dossier

PAYLOAD = "data"
"""The folder of a package that letters go to, in a folder of their own as in the dossier."""
ANSWER_S = 10.0
"""How long the disk of a dossier may take to answer."""


def carried(dossier: Dossier, request: Request, office: Office, *, history: bool = False) -> CarriedRequest:
    """Return what a session takes along of a request, with its history only where that is wanted."""
    return CarriedRequest(
        folder=str(dossier.folder),
        request=request if history else msgspec.structs.replace(request, history=()),
        office=msgspec.structs.replace(office, time_zone=zone_name(office.time_zone)),
    )


def put_letter(package: Path, letter: Letter, content: bytes, disk: Disk) -> None:
    """Write a letter into the payload of the package, or work folder, at `package`; raises OSError."""
    path = package / PAYLOAD / letter.file
    disk.make_folder(path.parent)
    try:
        disk.write(path, content, mode=FILE)
    except OSError:
        with suppress(OSError):
            aside_of(path).unlink(missing_ok=True)
        raise


class Carrying:
    """Copies the letters of a session's request into its work folder."""

    def __init__(self, work: Path, taken: CarriedRequest, clock: Clock) -> None:
        self._work = work
        self._taken = taken
        self._clock = clock
        self._writing = threading.Lock()
        self._until_ns = clock.now_ns() + round(ANSWER_S * NANOSECONDS)
        self._copying = DeadlineTask(self._copy, "request-letters", clock=clock)

    def _copy(self) -> None:
        for letter in self._taken.request.letters:
            with suppress(OSError, DossierError):  # it is told when the session is sealed
                content = letter_content(Path(self._taken.folder), letter)
                with self._writing:
                    put_letter(self._work, letter, content, Disk())

    def end(self) -> None:
        """Wait for the end, or give up once it has had its time: nothing is written from then on."""
        left_s = max(0, self._until_ns - self._clock.now_ns()) / NANOSECONDS
        if not self._copying.wait(left_s):
            self._writing.acquire(timeout=ANSWER_S)  # and never let go of
