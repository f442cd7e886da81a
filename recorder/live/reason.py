"""Reasons why a live destination is not live: stable codes for programs, sentences for people."""

import errno
import os
from enum import StrEnum


class DestinationFault(StrEnum):
    """The end of an attempt, or (TOO_SLOW) a fault of a live one; a contract, never renamed."""

    UNKNOWN_HOST = "unknown-host"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CERTIFICATE = "certificate"
    TLS = "tls"
    REJECTED = "rejected"
    ALREADY_PUBLISHING = "already-publishing"
    STALLED = "stalled"
    TOO_SLOW = "too-slow"
    CLOSED = "closed"
    CALLER_LEFT = "caller-left"
    NOT_YET = "not-yet"
    FOLDER_MISSING = "folder-missing"
    NOT_WRITABLE = "not-writable"
    DISK_FULL = "disk-full"
    DISK_FAILED = "disk-failed"
    FAILED = "failed"


class DestinationError(Exception):
    """A destination cannot be streamed to; `detail` adds to the reason."""

    def __init__(self, reason: DestinationFault, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


_SENTENCES = {
    DestinationFault.UNKNOWN_HOST: "the host of {where} cannot be looked up: check its spelling and this PC's network",
    DestinationFault.REFUSED: "{where} refuses connections: no streaming server listens there",
    DestinationFault.UNREACHABLE: "{where} cannot be reached from this network",
    DestinationFault.TIMEOUT: "{where} did not answer in time",
    DestinationFault.CERTIFICATE: "the certificate of {where} is not to be trusted: check the name and this PC's date",
    DestinationFault.TLS: "{where} does not speak TLS: check the port, or use an address without TLS",
    DestinationFault.REJECTED: (
        "{where} does not accept the stream: check the address, and its line in the file of keys"
    ),
    DestinationFault.ALREADY_PUBLISHING: "{where} says that somebody already streams with this key",
    DestinationFault.TOO_SLOW: "the connection to {where} is too slow for this stream, so pictures are left out",
    DestinationFault.STALLED: "{where} stopped taking the stream",
    DestinationFault.CLOSED: "{where} closed the connection",
    DestinationFault.CALLER_LEFT: "the caller at {where} has left: waiting for the next one",
    DestinationFault.NOT_YET: "{where} had not answered yet when the recording ended",
    DestinationFault.FOLDER_MISSING: "there is no folder {where}: make it, or mount its disk",
    DestinationFault.NOT_WRITABLE: "this user may not write into {where}",
    DestinationFault.DISK_FULL: "the disk of {where} is full",
    DestinationFault.DISK_FAILED: "the disk of {where} failed",
    DestinationFault.FAILED: "streaming to {where} failed on this PC",
}
_NO_WAY_THERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_FOLDER_REASONS = {
    errno.ENOENT: DestinationFault.FOLDER_MISSING,
    errno.ENOTDIR: DestinationFault.FOLDER_MISSING,
    errno.EACCES: DestinationFault.NOT_WRITABLE,
    errno.EPERM: DestinationFault.NOT_WRITABLE,
    errno.EROFS: DestinationFault.NOT_WRITABLE,
    errno.EBADF: DestinationFault.NOT_WRITABLE,  # flock(2) on a read-only NFS file
    errno.ENOSPC: DestinationFault.DISK_FULL,
    errno.EDQUOT: DestinationFault.DISK_FULL,
}


def fault_sentence(reason: DestinationFault, where: str, detail: str = "") -> str:
    """Return the sentence for `where` (host and port); `detail` is the other side's message, redacted."""
    said = _SENTENCES[reason].format(where=where)
    return f"{said} ({detail})" if detail else said


def unreachable(number: int | None) -> DestinationError:
    """Return the error for a failed connect by its errno, a refusal excepted."""
    return DestinationError(
        DestinationFault.UNREACHABLE, os.strerror(number) if number and number in _NO_WAY_THERE else ""
    )


def folder_reason(number: int) -> DestinationFault:
    """Return the reason for a folder's or disk's errno."""
    return _FOLDER_REASONS.get(number, DestinationFault.DISK_FAILED)
