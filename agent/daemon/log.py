"""The daemon's log: sentences for people, or JSON lines for the journal, without secrets."""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TextIO

import click
import msgspec

from agent.terminal.redact import Redact, redactor
from config.errors import LiputError
from devices.host.clock import Clock, seconds_now
from devices.host.throttle import Tell, TokenBuckets
from recorder.model.names import utf8_safe

VARIABLE = "JOURNAL_STREAM"  # systemd sets it to device and inode of the journal's stream
DAEMON = "daemon"
AT_ONCE, PER_S = 20.0, 0.1  # lines of one kind: so many at once, then so many a second, so that nothing floods the log
MOST_KINDS = 256  # kinds counted; the one unused for longest is forgotten
SUPPRESSED = "(this comes often: more of it is left out)"

_PART = "part-"
_OF_SESSIONS = ("resume", "recover")  # names of threads tell their part

type Level = Literal["info", "warning", "error"]
type Form = Literal["people", "programs", "journal"]  # text on stderr, a note on stdout, JSON on stderr


def log_form(*, as_json: bool) -> Form:
    """Return the form by `as_json`, or by the target of standard error."""
    if as_json:
        return "programs"
    with suppress(OSError, ValueError):
        found = os.fstat(sys.stderr.fileno())
        if os.environ.get(VARIABLE) == f"{found.st_dev}:{found.st_ino}":
            return "journal"
    return "people"


class DaemonLog:
    """Thread-safe. Lines that cannot be written are dropped without an error."""

    def __init__(self, form: Form, clock: Clock) -> None:
        self.form = form
        self._clock = clock
        self._redact = redactor()
        self._writing = threading.Lock()
        self._kinds = TokenBuckets(AT_ONCE, PER_S, MOST_KINDS)

    def know(self, redact: Redact) -> None:
        self._redact = redact

    def of(self, part: str = "", level: Level = "info") -> Tell:
        """Return a function that writes lines for `part`, or for the part of its thread."""
        return lambda text: self.say(text, part, level)

    def say(
        self, text: str, part: str = "", level: Level = "info", traceback: str = "", kind: str | None = None
    ) -> None:
        """Write a line, unless there were too many of its `kind` (None: the same text)."""
        if (more := self._allowed(text if kind is None else kind)) is None:
            return
        text, part = self._redact(utf8_safe(text + more)), part or _part_of(threading.current_thread().name)
        if self.form == "journal":
            line = {"level": level, "part": part, "message": text}  # the journal adds the time
            if traceback:
                line["traceback"] = self._redact(utf8_safe(traceback))
            self._write(msgspec.json.encode(line).decode(), sys.stderr)
        elif self.form == "programs":
            note = {"type": "note", "at": self._clock.now(), "text": text}
            self._write(msgspec.json.encode(note).decode(), sys.stdout)
        else:
            self._write(f"{text}\n{self._redact(utf8_safe(traceback))}".rstrip(), sys.stderr)

    def _allowed(self, kind: str) -> str | None:
        """Return the suffix of a line of this kind; None if there were too many."""
        now_s = seconds_now(self._clock)
        with self._writing:
            if self._kinds.take(kind, now_s):
                return None
            return f" {SUPPRESSED}" if self._kinds.is_empty(kind, now_s) else ""

    def line(self, line: str) -> None:
        """Write a line for programs as it is, never mixed with another."""
        self._write(line, sys.stdout)

    def _write(self, line: str, stream: TextIO) -> None:
        with self._writing, suppress(OSError, ValueError):
            stream.write(f"{line}\n")
            stream.flush()

    def take_over(self) -> None:
        """Take logs and warnings of libraries, and exceptions of threads."""
        logging.basicConfig(handlers=[_Handler(self)], level=logging.WARNING, force=True)
        logging.captureWarnings(capture=True)
        threading.excepthook = self._broken

    def _broken(self, broken: threading.ExceptHookArgs) -> None:
        name = broken.thread.name if broken.thread else ""
        error = broken.exc_value
        if error is not None:
            said = logging.Formatter().formatException((broken.exc_type, error, broken.exc_traceback))
            self.say(f"the thread {name} has broken: {error!r}", _part_of(name), "error", said)


@contextmanager
def errors_to_journal(log: DaemonLog) -> Iterator[None]:
    """Write the error that ends the daemon to the journal; elsewhere the command line prints it."""
    try:
        yield
    except LiputError as error:
        if log.form != "journal":
            raise
        log.say(f"{error.message}: {error.hint}" if error.hint else error.message, DAEMON, "error")
        raise click.exceptions.Exit(error.exit_status) from None


class _Handler(logging.Handler):
    def __init__(self, log: DaemonLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        number = record.levelno
        level: Level = "error" if number >= logging.ERROR else "warning" if number >= logging.WARNING else "info"
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # the arguments of a library's message do not fit it
            text = str(record.msg)
        error = record.exc_info
        said = logging.Formatter().formatException(error) if error and error[0] else ""
        if self._log.form != "journal":
            text = f"{record.name}: {text}"
        self._log.say(text, record.name, level, said, kind=f"{record.pathname}:{record.lineno}")


def _part_of(thread: str) -> str:
    if thread.startswith(_PART):
        return thread.removeprefix(_PART).partition("-")[0]
    return "sessions" if thread in _OF_SESSIONS else DAEMON
