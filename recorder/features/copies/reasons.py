"""Why a copy is not there (yet): one word for scripts, one sentence for people, one for what to do."""

from enum import StrEnum
from typing import Self

from config.errors import CopyError
from recorder.model.names import one_line


class CopyReason(StrEnum):
    """What keeps a copy from being made, read or counted: the word, the sentence (`said`), and what to do (`hint`)."""

    # fmt: off
    NOT_MOUNTED = (
        "not-mounted", "its disk or share is not mounted",
        "Mount it. Where the folder is meant to be on a disk of this PC's own: must_be_mounted = false in [copies].",
    )
    EMPTIED = (
        "emptied", "what it is known by is not there any more: it was emptied, or its disk is not mounted there",
        "Mount the disk there. If it is empty on purpose: `liput archive copy --all --to NAME --new-place`.",
    )
    SAME_PLACE = (
        "same-place", "it is no place of its own",
        "Correct the address in [copies]: a copy that is lost together with another is none.",
    )
    NO_FOLDER = "no-folder", "its folder is not there", "Make the folder, or correct the address in [copies]."
    NO_BUCKET = "no-bucket", "its bucket is not there", "Make the bucket, or correct the address in [copies]."
    REFUSED = "refused", "the server refuses the connection", "See whether its service runs, and on which port."
    UNREACHABLE = "unreachable", "the server cannot be reached", "Look after the network, and the server's name."
    TIMEOUT = "timeout", "the server does not answer", "Look after the server: it is there and does nothing."
    CONNECTION_LOST = (
        "connection-lost", "the connection broke",
        "It goes on by itself; look after the network if it stays so.",
    )
    UNKNOWN_HOST = (
        "unknown-host", "the server's key is not known here",
        "Compare its fingerprint with who runs it, then add it to known_hosts (ssh-keyscan prints it).",
    )
    HOST_KEY_CHANGED = (
        "host-key-changed", "the server has another key than the one known here",
        "Ask who runs it before anything else: it may be another server in its place.",
    )
    CERTIFICATE = "certificate", "the server's certificate is not trusted", "Name its authority: ca_file in [copies]."
    NO_CREDENTIALS = "no-credentials", "there is nothing to log in with", "Add it to the file of keys."
    WRONG_CREDENTIALS = "wrong-credentials", "the server does not accept the login", "Correct it in the file of keys."
    CLOCK = (
        "clock", "this PC's clock is not the server's",
        "Set this PC's clock: `timedatectl set-ntp true`; a login counts for minutes only.",
    )
    NOT_ALLOWED = (
        "not-allowed", "this user may not write or read there",
        "Give the user the right to the folder or bucket.",
    )
    FULL = "full", "no space is left there", "Free space there; the copy goes on by itself."
    NOT_TAKEN = (
        "not-taken", "it does not take a file of this package",
        "FAT takes none of 4 GB or more, FAT and Windows no name with one of : ? * | in it: copy it to another place.",
    )
    NAME_TAKEN = (
        "name-taken", "another package has that name there",
        "Look at both; the one there stays as it is, and this one is not copied.",
    )
    CHANGED_THERE = (
        "changed-there", "the package there is in another state than the one that was put there from here",
        "Look at both; the one there stays as it is.",
    )
    NOT_THERE = (
        "not-there", "there is no whole copy of it there",
        "`liput archive copies` shows where there are any.",
    )
    DAMAGED_HERE = (
        "damaged-here", "the package is damaged here",
        "`liput archive repair` restores it from a copy.",
    )
    DAMAGED_ON_THE_WAY = (
        "damaged-on-the-way", "what was read back is not what was sent",
        "It is not counted, and sent again later; look after the server's disk and memory.",
    )
    DAMAGED_THERE = (
        "damaged-there", "the copy there is damaged",
        "`liput archive copy` puts right what is wrong there.",
    )
    NOT_INSTALLED = (
        "not-installed", "a library that it needs is not installed",
        "Install it where Liput is installed: what stands in brackets brings it.",
    )
    SESSION = "session", "a session runs", "It goes on when that is over."
    BUSY = "busy", "another Liput is at work there", "It takes its turn."
    FAILED = "failed", "it failed", "Look at the words above; `liput health` has them too."
    # fmt: on

    def __new__(cls, word: str, said: str, hint: str) -> Self:
        """Make the reason of that word."""
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.said = said
        reason.hint = hint
        return reason

    said: str
    hint: str


OF_A_PACKAGE = frozenset({
    CopyReason.NOT_TAKEN, CopyReason.NAME_TAKEN, CopyReason.CHANGED_THERE, CopyReason.NOT_THERE,
    CopyReason.DAMAGED_HERE, CopyReason.DAMAGED_ON_THE_WAY, CopyReason.DAMAGED_THERE,
})  # fmt: skip
"""What concerns one package; the others keep every package from that place."""


def copy_error(reason: CopyReason, where: str, detail: str = "") -> CopyError:
    """Return the error that says why nothing comes to, or from, the place `where`; `detail` holds no secret."""
    words = one_line(detail)  # a server's may hold what changes a terminal
    return CopyError(f"{where}: {reason.said}{f' ({words})' if words else ''}", reason=reason, hint=reason.hint)
