"""Gives every packet of a session to each of its copies, and to a part that takes over what is not safe before it."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

from av.stream import Stream

from recorder.kept_packets import MOST_BYTES, KeptPackets
from recorder.packet import RUN_IN, EncodedPacket, Track, TrackId
from recorder.recording import OnDisk
from recorder.storing.copies import Copy
from recorder.storing.part import Part

type Templates = Mapping[TrackId, Stream]


class Forms:
    """Follows the form of the picture, which changes where its encoder is replaced: no file holds two of them.

    From the keyframe on at which it changes, packets belong into other files than before. Sound is cut there too, by
    its own times: it may come earlier than the pictures, or later. Not safe from several threads at once.
    """

    def __init__(self, form: int, tracks: Iterable[TrackId], templates_of: Callable[[int], Templates] | None) -> None:
        """`templates_of` says the templates of another form, where there may be any."""
        self.now = form
        """The form that the picture has."""
        self.templates_of = templates_of
        self._others = frozenset(tracks) - {Track.VIDEO}
        self._start = Fraction(0)
        self._behind: set[TrackId] = set()

    def changes_with(self, packet: EncodedPacket) -> bool:
        """Whether the picture has another form from a packet on; take note of it."""
        if packet.track != Track.VIDEO or packet.form == self.now or self.templates_of is None:
            return False
        self.now = packet.form
        self._start = packet.begins
        self._behind = set(self._others)
        return True

    def belongs(self, packet: EncodedPacket, form: int) -> bool:
        """Whether a packet belongs into a file of that form."""
        if packet.track == Track.VIDEO:
            return packet.form == form
        return packet.ends > self._start - RUN_IN if form == self.now else packet.begins < self._start

    def caught_up_with(self, packet: EncodedPacket) -> bool:
        """Whether a packet is the one with which nothing is to come any more that belongs into files of before."""
        if packet.track not in self._behind or packet.begins < self._start:
            return False
        self._behind.discard(packet.track)
        return not self._behind

    @property
    def has_caught_up(self) -> bool:
        """Whether nothing is to come any more that belongs into files of before."""
        return not self._behind


class Backlog:
    """The packets that are not known to be safe yet, from a keyframe on: a further file begins with them.

    Where a disk takes nothing until the bound is reached, the oldest pictures go, up to the next keyframe; that they
    are missing is told when the further file begins. Not safe from several threads at once.
    """

    def __init__(self, tracks: Sequence[TrackId], most_bytes: int = MOST_BYTES) -> None:
        self._kept = KeptPackets(Track.VIDEO if Track.VIDEO in tracks else tracks[0])
        self._most_bytes = most_bytes

    def add(self, packet: EncodedPacket) -> None:
        """Take a packet."""
        self._kept.add(packet)
        while self._kept.bytes > self._most_bytes and (second := self._kept.keyframes()[1:2]):
            self._kept.begin_at(second[0])

    def begin_anew(self) -> None:
        """Forget the pictures: those that follow are of another form."""
        self._kept.forget_leaders()

    def confirm(self, safe_s: float) -> None:
        """Forget what is before the last keyframe that is safe, every track of it, up to `safe_s` seconds."""
        leaders = self._kept.leaders
        if safe := [index for index in self._kept.keyframes() if leaders[index].begins <= safe_s]:
            self._kept.begin_at(safe[-1])

    @property
    def start(self) -> Fraction:
        """The media time of its first keyframe, seconds; 0 while there is none."""
        return next((packet.begins for packet in self._kept.leaders if packet.is_keyframe), Fraction(0))

    @property
    def packets(self) -> list[EncodedPacket]:
        """Everything from the first keyframe on, each track in its order."""
        first = next((index for index, packet in enumerate(self._kept.leaders) if packet.is_keyframe), 0)
        start = self.start - RUN_IN
        others = [packet for packet in self._kept.others if packet.begins >= start]
        return [*list(self._kept.leaders)[first:], *others]


type OnForm = Callable[[Templates, int], None]


def _nothing(_templates: Templates, _form: int) -> None:
    """Do nothing: there is nowhere to go on in another form."""


class Tee:
    """The copies of one session, and what they are given; from any thread. Waits for no disk."""

    def __init__(self, forms: Forms) -> None:
        self.copies: list[Copy] = []
        """Filled before the first packet comes."""
        self.given_s = 0.0
        """Up to where packets came, in seconds of media time."""
        self.on_form: OnForm = _nothing
        """Told the templates and number of another form that the picture has from the next packet on."""
        self._forms = forms
        self._backlog: Backlog | None = None
        self._lock = threading.Lock()

    def keep(self, tracks: Sequence[TrackId]) -> None:
        """Keep a backlog from now on: a copy may get further parts."""
        self._backlog = Backlog(tracks)

    # What is given

    def put(self, packet: EncodedPacket) -> None:
        """Give a packet to every part that takes it: those that are open, and have the picture's form."""
        with self._lock:
            if self._forms.changes_with(packet):
                self._change_form()
            self.given_s = max(self.given_s, packet.ends_s)
            if self._backlog is not None:
                self._backlog.add(packet)
            for copy in self.copies:
                for part in (copy.part, copy.former):
                    # One that is closing was left, with nowhere to go on.
                    if part is not None and not part.is_closing and self._forms.belongs(packet, part.form):
                        part.put(packet)
            if self._forms.caught_up_with(packet):
                for copy in self.copies:
                    copy.leave_former()

    def _change_form(self) -> None:
        """Begin the backlog anew, and say so, so that each copy goes on in another part: a keyframe is put next."""
        forms = self._forms
        if forms.templates_of is None or self._backlog is None:
            return
        self.on_form(forms.templates_of(forms.now), forms.now)
        self._backlog.begin_anew()

    # What is safe

    @property
    def on_disk(self) -> OnDisk:
        """What was found on disk, of the copy that holds most: bytes in all its parts, and up to where it plays."""
        with self._lock:
            found = [OnDisk(copy.bytes, copy.found_s) for copy in self.copies]
        return max(found, key=lambda each: each.media_time_s, default=OnDisk())

    def confirm(self) -> None:
        """Forget what every copy has safe on its disk."""
        with self._lock:
            # While a copy moves the backlog stays: the part that is being opened begins where it began.
            if self._backlog is not None and not any(copy.is_moving for copy in self.copies):
                self._backlog.confirm(min((copy.part.found_s for copy in self.copies if not copy.ended), default=0.0))

    # Parts that take over

    @property
    def start(self) -> Fraction:
        """The media time at which a part that is opened now begins, in seconds."""
        with self._lock:
            return self._backlog.start if self._backlog is not None else Fraction(0)

    def holder(self, part: Part) -> tuple[Copy | None, bool]:
        """Return the copy that `part` is of, None while none has come to it; and whether any copy is on its way."""
        with self._lock:
            holder = next((copy for copy in self.copies if part in copy.parts), None)
            return holder, any(copy.is_moving for copy in self.copies)

    def go_on(self, copy: Copy, new: Part) -> float:
        """Let a copy that has left its disk go on in `new`; return where that begins, in seconds of media time.

        The copy still moves where the picture has become one of another form meanwhile.
        """
        with self._lock:
            begins_s = self._hand_over(copy, new)
            copy.is_moving = new.form != self._forms.now
            return begins_s

    def stay(self, copy: Copy) -> None:
        """Let a copy that was to leave its disk go on in the part that it has.

        The copy still moves where the picture has become one of another form meanwhile.
        """
        with self._lock:
            copy.is_moving = copy.part.form != self._forms.now

    def go_on_beside(self, copy: Copy, new: Part) -> None:
        """Let a copy go on in `new`, of the picture's form; the part so far gets what is still to come for it."""
        with self._lock:
            old = copy.part
            self._hand_over(copy, new)
            copy.former = old
            old.is_void = not old.has_pictures
            if self._forms.has_caught_up:
                copy.leave_former()

    def end(self, copy: Copy) -> bool:
        """Let a copy end that has nowhere to go on; return whether it was the last one.

        The last one is not closed: whatever is left of it takes what still comes, if it can, and writes what it has.
        """
        with self._lock:
            copy.ended, copy.is_moving = True, False
            is_last = all(each.ended for each in self.copies)
            if not is_last:
                copy.part.close()  # while nothing can be put: what follows the end of its queue is never taken out
            return is_last

    def _hand_over(self, copy: Copy, new: Part) -> float:
        """Let a part take packets, those of the backlog first; return where they begin, in seconds of media time."""
        begins_s = 0.0
        if self._backlog is not None:
            begins_s = float(self._backlog.start)  # later than the part where it grew too large meanwhile
            if new.form == self._forms.now:
                for packet in self._backlog.packets:
                    new.put(packet)
        copy.parts.append(new)
        copy.is_moving = False
        return begins_s
