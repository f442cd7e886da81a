"""Asks nodes what they offer, each once only while it stays plugged in, and waits for none for long.

A camera that hangs may not answer for seconds, or never. Its question is left to a thread of its own; when the
answer comes after all, whoever asked is told so.
"""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from config.errors import DeviceError, DeviceNotFound
from devices.host import threads
from devices.modes import Offer, offer
from devices.udev import PictureNode

type _Key = tuple[str, int, int]


class Asker:
    """Remembers what nodes offer. `on_late` is called, on another thread, when an answer comes that was given up."""

    def __init__(
        self, on_late: Callable[[], None], *, timeout_s: float = 0.5, ask: Callable[[str, str], Offer] = offer
    ) -> None:
        self._on_late = on_late
        self._timeout_s = timeout_s
        self._ask = ask
        self._changed = threading.Condition()
        self._answers: dict[_Key, Offer | DeviceError] = {}
        self._asked: set[_Key] = set()
        self._given_up: set[_Key] = set()

    def offers(self, pictures: Iterable[PictureNode]) -> dict[str, Offer | DeviceError]:
        """Return what each node offers, or why that cannot be said; what does not answer in time is left out.

        A refusal is not remembered: the next time, that node is asked again.
        """
        pictures = list(pictures)
        keys = {key: picture for picture in pictures if (key := _key(picture))}
        with self._changed:
            self._forget_all_but(keys.keys())
            for key in keys.keys() - self._answers.keys() - self._asked:
                self._start(key, keys[key])
            waited_for = keys.keys() - self._given_up
            deadline = time.monotonic() + self._timeout_s
            while (left := deadline - time.monotonic()) > 0 and not waited_for <= self._answers.keys():
                self._changed.wait(left)
            self._given_up |= keys.keys() - self._answers.keys()
            found = {picture.node: self._answers[key] for key, picture in keys.items() if key in self._answers}
            self._answers = {key: answer for key, answer in self._answers.items() if isinstance(answer, Offer)}
        there = {picture.node for picture in keys.values()}
        gone = [picture for picture in pictures if picture.node not in there]
        return found | {picture.node: DeviceNotFound(f"{picture.name} has gone") for picture in gone}

    def _forget_all_but(self, keys: Iterable[_Key]) -> None:
        there = set(keys)
        self._answers = {key: answer for key, answer in self._answers.items() if key in there}
        self._given_up &= there

    def _start(self, key: _Key, picture: PictureNode) -> None:
        self._asked.add(key)
        undo = partial(self._asked.discard, key)
        threads.start(self._run, key, picture, name=f"ask-{picture.node}", otherwise=undo)

    def _run(self, key: _Key, picture: PictureNode) -> None:
        answer: Offer | DeviceError
        try:
            answer = self._ask(picture.node, picture.name)
        except DeviceError as error:
            answer = error
        except Exception as error:  # of whatever kind: who has no answer is not asked again
            answer = DeviceError(repr(error), hint="please report this")
        with self._changed:
            self._asked.discard(key)
            self._answers[key] = answer
            is_late = key in self._given_up
            self._given_up.discard(key)
            self._changed.notify_all()
        if is_late:
            self._on_late()


def _key(picture: PictureNode) -> _Key | None:
    """Return what makes this node another one than the next of the same name: each gets an inode of its own."""
    try:
        status = Path(picture.node).stat()
    except OSError:
        return None
    return picture.node, status.st_ino, status.st_ctime_ns
