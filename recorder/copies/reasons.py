"""Why a copy is not there (yet): one word for scripts, one sentence for people, one for what to do."""

from enum import StrEnum

from config.errors import CopyError
from recorder.archive.names import one_line


class CopyReason(StrEnum):
    """What keeps a copy from being made, read or counted."""

    NOT_MOUNTED = "not-mounted"
    EMPTIED = "emptied"
    SAME_PLACE = "same-place"
    NO_FOLDER = "no-folder"
    NO_BUCKET = "no-bucket"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection-lost"
    UNKNOWN_HOST = "unknown-host"
    HOST_KEY_CHANGED = "host-key-changed"
    CERTIFICATE = "certificate"
    NO_CREDENTIALS = "no-credentials"
    WRONG_CREDENTIALS = "wrong-credentials"
    CLOCK = "clock"
    NOT_ALLOWED = "not-allowed"
    FULL = "full"
    NOT_TAKEN = "not-taken"
    NAME_TAKEN = "name-taken"
    CHANGED_THERE = "changed-there"
    NOT_THERE = "not-there"
    DAMAGED_HERE = "damaged-here"
    DAMAGED_ON_THE_WAY = "damaged-on-the-way"
    DAMAGED_THERE = "damaged-there"
    NOT_INSTALLED = "not-installed"
    SESSION = "session"
    BUSY = "busy"
    FAILED = "failed"

    @property
    def is_of_package(self) -> bool:
        """Whether it concerns one package; the others keep every package from that place."""
        return self in _OF_A_PACKAGE


_OF_A_PACKAGE = frozenset(
    {
        CopyReason.NOT_TAKEN,
        CopyReason.NAME_TAKEN,
        CopyReason.CHANGED_THERE,
        CopyReason.NOT_THERE,
        CopyReason.DAMAGED_HERE,
        CopyReason.DAMAGED_ON_THE_WAY,
        CopyReason.DAMAGED_THERE,
    }
)

_SAID: dict[CopyReason, tuple[str, str]] = {
    CopyReason.NOT_MOUNTED: (
        "its disk or share is not mounted",
        "Mount it. Where the folder is meant to be on a disk of this PC's own: must_be_mounted = false in [copies].",
    ),
    CopyReason.EMPTIED: (
        "what it is known by is not there any more: it was emptied, or its disk is not mounted there",
        "Mount the disk there. If it is empty on purpose: `liput archive copy --all --to NAME --new-place`.",
    ),
    CopyReason.SAME_PLACE: (
        "it is no place of its own",
        "Correct the address in [copies]: a copy that is lost together with another is none.",
    ),
    CopyReason.NO_FOLDER: ("its folder is not there", "Make the folder, or correct the address in [copies]."),
    CopyReason.NO_BUCKET: ("its bucket is not there", "Make the bucket, or correct the address in [copies]."),
    CopyReason.REFUSED: ("the server refuses the connection", "See whether its service runs, and on which port."),
    CopyReason.UNREACHABLE: ("the server cannot be reached", "Look after the network, and the server's name."),
    CopyReason.TIMEOUT: ("the server does not answer", "Look after the server: it is there and does nothing."),
    CopyReason.CONNECTION_LOST: (
        "the connection broke",
        "It goes on by itself; look after the network if it stays so.",
    ),
    CopyReason.UNKNOWN_HOST: (
        "the server's key is not known here",
        "Compare its fingerprint with who runs it, then add it to known_hosts (ssh-keyscan prints it).",
    ),
    CopyReason.HOST_KEY_CHANGED: (
        "the server has another key than the one known here",
        "Ask who runs it before anything else: it may be another server in its place.",
    ),
    CopyReason.CERTIFICATE: ("the server's certificate is not trusted", "Name its authority: ca_file in [copies]."),
    CopyReason.NO_CREDENTIALS: ("there is nothing to log in with", "Add it to the file of keys."),
    CopyReason.WRONG_CREDENTIALS: ("the server does not accept the login", "Correct it in the file of keys."),
    CopyReason.CLOCK: (
        "this PC's clock is not the server's",
        "Set this PC's clock: `timedatectl set-ntp true`; a login counts for minutes only.",
    ),
    CopyReason.NOT_ALLOWED: (
        "this user may not write or read there",
        "Give the user the right to the folder or bucket.",
    ),
    CopyReason.FULL: ("no space is left there", "Free space there; the copy goes on by itself."),
    CopyReason.NOT_TAKEN: (
        "it does not take a file of this package",
        "FAT takes none of 4 GB or more, FAT and Windows no name with one of : ? * | in it: copy it to another place.",
    ),
    CopyReason.NAME_TAKEN: (
        "another package has that name there",
        "Look at both; the one there stays as it is, and this one is not copied.",
    ),
    CopyReason.CHANGED_THERE: (
        "the package there is in another state than the one that was put there from here",
        "Look at both; the one there stays as it is.",
    ),
    CopyReason.NOT_THERE: ("there is no whole copy of it there", "`liput archive copies` shows where there are any."),
    CopyReason.DAMAGED_HERE: ("the package is damaged here", "`liput archive repair` restores it from a copy."),
    CopyReason.DAMAGED_ON_THE_WAY: (
        "what was read back is not what was sent",
        "It is not counted, and sent again later; look after the server's disk and memory.",
    ),
    CopyReason.DAMAGED_THERE: ("the copy there is damaged", "`liput archive copy` puts right what is wrong there."),
    CopyReason.NOT_INSTALLED: (
        "a library that it needs is not installed",
        "Install it where Liput is installed: what stands in brackets brings it.",
    ),
    CopyReason.SESSION: ("a session runs", "It goes on when that is over."),
    CopyReason.BUSY: ("another Liput is at work there", "It takes its turn."),
    CopyReason.FAILED: ("it failed", "Look at the words above; `liput health` has them too."),
}


def copy_error(reason: CopyReason, where: str, detail: str = "") -> CopyError:
    """Return the error that says why nothing comes to, or from, the place `where`; `detail` holds no secret."""
    said, hint = _SAID[reason]
    words = one_line(detail)  # a server's may hold what changes a terminal
    return CopyError(f"{where}: {said}{f' ({words})' if words else ''}", reason=reason, hint=hint)
