"""Brings a copy of a recording to the next disk that takes one, or into another part on the disk it is on.

The new part begins with the backlog, at a keyframe, so nothing is missing. Opening it may hang on its disk: each move
is on a thread of its own, which is waited for within bounds.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from itertools import chain, count

from config.errors import LiputError, StorageError, as_ours
from devices.clock import Clock
from recorder.archive.archive import Archive
from recorder.archive.work import WorkFolder
from recorder.storing.bounded import OPEN_S, Bounded
from recorder.storing.copies import Copy, found_s
from recorder.storing.faults import stalled
from recorder.storing.opening import Opener
from recorder.storing.part import Part
from recorder.storing.progress import Progress
from recorder.storing.tee import Tee, Templates
from recorder.storing.telling import Teller


class Mover:
    """Where the copies of one session go on; knows the folders that are left, and counts the parts."""

    def __init__(
        self,
        spares: Sequence[Archive],
        opener: Opener,
        tee: Tee,
        *,
        number: int,
        earlier: Sequence[WorkFolder],
        keep_free: int,
        clock: Clock,
        tell: Teller,
        on_no_disk: Callable[[LiputError], None],
    ) -> None:
        """`spares` are the folders to record to, in order; `number` that of the first part. The `tee` tells of forms.

        `earlier` are the parts of a session that is gone on with. `keep_free` are the bytes that a session which runs
        leaves on a disk. `on_no_disk` is told why the last copy could not go on.
        """
        self._spares = list(spares)
        self._opener = opener
        self._tee = tee
        self._number = number
        self._earlier = earlier
        self._keep_free = keep_free
        self._clock = clock
        self._tell = tell
        self._on_no_disk = on_no_disk
        self._lock = threading.Lock()
        tee.on_form = self._change_form

    @property
    def has_spares(self) -> bool:
        """Whether there is a folder left that a disk is left for which may answer again."""
        return bool(self._spares)

    # Opening

    def first(self, number: int) -> Copy | None:
        """Begin the first or second copy (`number`) in the first folder that can be recorded to; those before are told.

        A folder with a part of the session goes on with the copy which that is of: both are put together at the end.
        None where there is no folder; raises the first one's StorageError when there is none for the first copy.
        """
        faults: list[tuple[Archive, LiputError]] = []
        copy = None
        while copy is None and self._spares:
            archive = self._spares.pop(0)
            try:
                which = self._number_in(archive)
                copy = Copy(which, [self._open(archive, which, self._number, Fraction(0))])
            except LiputError as error:
                faults.append((archive, error))
        if copy is None and number == 1 and faults:
            raise faults[0][1]  # it is told by whoever asked for a recording
        for refused, fault in faults:
            self._tell.fault(str(refused.root), fault)
        return copy

    def _number_in(self, archive: Archive) -> int:
        """Return which copy a folder is for: the one that was recorded there last, else the first that nobody has."""
        there = (work.begun.copy for work in reversed(self._earlier) if work.archive_root == archive.root)
        taken = {copy.number for copy in self._tee.copies}
        return next(number for number in chain(there, count(1)) if number not in taken)

    def _open(self, archive: Archive, copy: int, number: int, start: Fraction) -> Part:
        """Open a part; raises what that raises, and a StorageError where the disk does not answer within OPEN_S."""
        opening = Bounded(partial(self._opener.open, archive, copy, number, start), "storage-open", _undo)
        return opening.get(self._clock, OPEN_S, stalled(archive.root, OPEN_S))

    # To another disk

    def leave(self, copy: Copy, error: LiputError, *, may_stay: bool = False) -> None:
        """Tell why a copy leaves its disk, and begin to move it to another one; returns at once.

        One that `may_stay` goes on where it is if no other disk takes it: its own may answer again.
        """
        self._tell.fault(copy.part.place, error)
        copy.is_moving = True
        moving = partial(self._or_end, copy, partial(self._move, copy, error, may_stay=may_stay), error)
        try:
            copy.move = Bounded(moving, "storage-switch")
        except RuntimeError:  # there are too many threads; nor can it be opened then, so that it ends in order
            moving()

    def _or_end(self, copy: Copy, move: Callable[[], None], why: LiputError | None = None) -> None:
        """Move a copy; where a mistake of ours keeps it from that, end it as if there was no other disk.

        `why` it had to leave is what the session hears where it was the last one, else the mistake.
        """
        try:
            move()
        except Exception as mistake:  # of whatever kind: who waits for the copy must not wait for ever
            told = as_ours(mistake, StorageError)
            self._tell.fault(copy.part.place, told)
            if copy.is_moving and self._tee.end(copy):
                self._on_no_disk(why or told)

    def _move(self, copy: Copy, error: LiputError, *, may_stay: bool = False) -> None:
        """Open a part on the next disk that takes one, and hand it the backlog; the old one is closed."""
        old = copy.part
        new = self._next_part(copy, may_stay=may_stay)
        if new is not None:
            with _undone_if_refused(new):
                begins_s = self._tee.go_on(copy, new)
            self.count_again(copy)
            if may_stay or old.recording.failed:  # it takes nothing, or too little
                old.recording.give_way()
            if old.progress.is_stalled:
                self._tell.progress(old, Progress.RESUMED, 0.0)
            self._tell.switched(old.place, new, found_s(copy.parts[:-1]), begins_s)
            if copy.is_moving:  # meanwhile the picture has become one of another form
                self._renew(copy)
        elif may_stay:
            self._tee.stay(copy)
            if copy.is_moving:  # as above
                self._renew(copy)
            return
        elif self._tee.end(copy):
            self._on_no_disk(error)
            return  # it is closed with the session
        old.close()

    def _next_part(self, copy: Copy, *, may_stay: bool) -> Part | None:
        """Open a part in the next folder that takes one; None where none does.

        What refuses a copy that `may_stay` is set aside: the trouble that its own disk has may pass for both.
        """
        start, told = self._tee.start, list(copy.refused)
        while (place := self._take(copy, may_stay=may_stay)) is not None:
            spare, number = place
            # Down to what must stay free, not to the reserve: a session that runs takes what there is.
            archive = Archive(spare.root, self._clock, self._keep_free)
            try:
                return self._open(archive, copy.number, number, start)
            except Exception as error:  # of whatever kind: the next one is tried
                if spare not in told:
                    self._tell.fault(str(archive.root), as_ours(error, StorageError))
                if may_stay:
                    with self._lock:
                        copy.refused.append(spare)
        return None

    def _take(self, copy: Copy, *, may_stay: bool) -> tuple[Archive, int] | None:
        """Take the next folder for a copy, and the number of the part there; None where there is none left.

        What has refused it is tried once more where it would have to end.
        """
        with self._lock:
            left = self._spares if self._spares or may_stay else copy.refused
            if not left:
                return None
            self._number += 1
            return left.pop(0), self._number

    def count_again(self, copy: Copy) -> None:
        """Let the folders count again that refused a copy while its disk stood still: that is over.

        Not before: the guard would leave the disk for them again with each look.
        """
        with self._lock:
            self._spares += copy.refused
            copy.refused.clear()

    # Into another form

    def _change_form(self, templates: Templates, form: int) -> None:
        """Begin to let each copy go on in a part of the picture's new form; returns at once."""
        self._opener = self._opener.renewed(templates, form)
        for copy in self._tee.copies:
            if not copy.ended and not copy.is_moving:  # one that moves sees to it when it has moved
                copy.is_moving = True
                try:
                    copy.move = Bounded(partial(self._or_end, copy, partial(self._renew, copy)), "storage-renew")
                except RuntimeError:  # there are too many threads: whoever puts ends the session
                    copy.is_moving = False
                    raise

    def _renew(self, copy: Copy) -> None:
        """Open a part of the picture's new form beside the one so far, which is closed; elsewhere if that fails."""
        old = copy.part
        start = self._tee.start
        with self._lock:
            self._number += 1
            number = self._number
        archive = Archive(old.archive.root, self._clock, self._keep_free)
        try:
            new = self._open(archive, copy.number, number, start)
        except Exception as error:  # of whatever kind: another disk may take one
            fault = as_ours(error, StorageError)
            self._tell.fault(old.place, fault)
            self._move(copy, fault)
            return
        with _undone_if_refused(new):
            self._tee.go_on_beside(copy, new)

    # The end

    def wait(self) -> bool:
        """Let every copy that moves come to rest, or end; return whether there was one."""
        moves = [(copy, copy.move) for copy in self._tee.copies if copy.move is not None]
        for copy, move in moves:
            copy.move = None
            tried = len(self._spares) + len(copy.refused)
            if not move.wait(self._clock, OPEN_S * (tried + 2)) or copy.is_moving:
                copy.ended, copy.is_moving = True, False
        return bool(moves)


@contextmanager
def _undone_if_refused(part: Part) -> Iterator[None]:
    """Undo the opening of a part that its copy cannot go on in."""
    try:
        yield
    except Exception:
        _undo(part)
        raise


def _undo(part: Part) -> None:
    """Undo the opening of a part that came too late."""
    part.recording.close()
    with suppress(LiputError):
        part.archive.discard(part.work)
