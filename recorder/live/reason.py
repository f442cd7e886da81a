"""Reasons why a live destination is not live: stable codes for programs, sentences for people."""

import errno
import os
from enum import StrEnum


class Reason(StrEnum):
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


class NotLive(Exception):
    """A destination cannot be streamed to; `detail` adds to the reason."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


_SENTENCES = {
    Reason.UNKNOWN_HOST: "the host of {where} cannot be looked up: check its spelling and this PC's network",
    Reason.REFUSED: "{where} refuses connections: no streaming server listens there",
    Reason.UNREACHABLE: "{where} cannot be reached from this network",
    Reason.TIMEOUT: "{where} did not answer in time",
    Reason.CERTIFICATE: "the certificate of {where} is not to be trusted: check the name and this PC's date",
    Reason.TLS: "{where} does not speak TLS: check the port, or use rtmp:// instead of rtmps://",
    Reason.REJECTED: "{where} does not accept the stream: check the address, and its line in the file of keys",
    Reason.ALREADY_PUBLISHING: "{where} says that somebody already streams with this key",
    Reason.TOO_SLOW: "the connection to {where} is too slow for this stream, so pictures are left out",
    Reason.STALLED: "{where} stopped taking the stream",
    Reason.CLOSED: "{where} closed the connection",
    Reason.CALLER_LEFT: "whoever took the stream at {where} has gone: waiting for the next caller",
    Reason.NOT_YET: "{where} had not answered yet when the recording ended",
    Reason.FOLDER_MISSING: "there is no folder {where}: make it, or mount its disk",
    Reason.NOT_WRITABLE: "this user may not write into {where}",
    Reason.DISK_FULL: "the disk of {where} is full",
    Reason.DISK_FAILED: "the disk of {where} failed",
    Reason.FAILED: "streaming to {where} failed on this PC",
}
_NO_WAY_THERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_FOLDER_REASONS = {
    errno.ENOENT: Reason.FOLDER_MISSING,
    errno.ENOTDIR: Reason.FOLDER_MISSING,
    errno.EACCES: Reason.NOT_WRITABLE,
    errno.EPERM: Reason.NOT_WRITABLE,
    errno.EROFS: Reason.NOT_WRITABLE,
    errno.EBADF: Reason.NOT_WRITABLE,  # flock(2) on a read-only NFS file
    errno.ENOSPC: Reason.DISK_FULL,
    errno.EDQUOT: Reason.DISK_FULL,
}


def sentence(reason: Reason, where: str, detail: str = "") -> str:
    """Return the sentence for `where` (host and port); `detail` is the other side's message, redacted."""
    said = _SENTENCES[reason].format(where=where)
    return f"{said} ({detail})" if detail else said


def no_way(number: int | None) -> NotLive:
    """Return the error for a failed connect by its errno, a refusal excepted."""
    return NotLive(Reason.UNREACHABLE, os.strerror(number) if number and number in _NO_WAY_THERE else "")


def folder_reason(number: int) -> Reason:
    """Return the reason for a folder's or disk's errno."""
    return _FOLDER_REASONS.get(number, Reason.DISK_FAILED)
