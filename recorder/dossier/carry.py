"""What a session takes along of its request: what was known at its beginning, and copies of the letters.

The copies are made while it records, on a thread of their own: the disk of the dossier may hang, and the recording does
not wait for it. Whoever seals the session makes up for what is missing (recorder/dossier/enclose.py).
"""

import threading
from collections.abc import Callable
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


def carry_letters(work: Path, taken: CarriedRequest, clock: Clock) -> Callable[[], None]:
    """Begin to copy the letters of a session's request into its work folder; return what waits for the end of that.

    It gives up once the copying has had its time: nothing is written from then on.
    """
    writing = threading.Lock()
    until_ns = clock.now_ns() + round(ANSWER_S * NANOSECONDS)

    def copy() -> None:
        for letter in taken.request.letters:
            with suppress(OSError, DossierError):  # it is told when the session is sealed
                content = letter_content(Path(taken.folder), letter)
                with writing:
                    put_letter(work, letter, content, Disk())

    copying = DeadlineTask(copy, "request-letters", clock=clock)

    def end() -> None:
        left_s = max(0, until_ns - clock.now_ns()) / NANOSECONDS
        if not copying.wait(left_s):
            writing.acquire(timeout=ANSWER_S)  # and never let go of

    return end
