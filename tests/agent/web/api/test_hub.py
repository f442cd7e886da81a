"""The page's WebSocket: state, levels and pictures of a real session; slow and evil pages."""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from agent.web.api.hub import PageSubscription, PictureKey, PreviewRequest, Viewer
from agent.web.http import limits
from tests.agent.web.api.test_sessions import SESSIONS, begun
from tests.support import command
from tests.support.waiting import wait_for
from tests.support.web import Page, is_kind, opened, received, until, upgrade, wish

pytestmark = pytest.mark.server


def test_the_state_comes_at_once_and_again(page: Page) -> None:
    with opened(page) as looking:
        for _ in range(3):
            said = until(looking, is_kind("state"))
            assert (said["room"], said["sessions"]) == ("Aula", [])


@pytest.mark.slow
def test_levels_and_pictures_come_to_twenty_pages_that_asked_and_to_no_other(page: Page) -> None:
    """The recorder has room for eight; a page that does not read holds up nobody."""
    with ExitStack() as stack, ThreadPoolExecutor(20) as pool:
        other, lazy, *looking = (stack.enter_context(opened(page)) for _ in range(22))
        session = begun(page, arm_only=True)
        previews = [{"source": "program", "fps": 5, "width": 160}, {"source": "nowhere"}]
        ask = {"type": "watch", "session": session, "levels": True, "previews": previews}

        def look(one: ClientConnection) -> tuple[bytes, str, bool]:
            one.send(json.dumps(ask))
            said: dict[str, Any] = {}
            while not said.keys() >= {"picture", "levels", "preview-problem"}:
                message = received(one)
                said["picture" if isinstance(message, bytes) else message["type"]] = message
            one.send(json.dumps({"type": "watch"}))
            assert len(said["levels"]["sounds"]) == 1
            return said["picture"][:3], said["levels"]["session"], "nowhere" in said["preview-problem"]["message"]

        lazy.send(json.dumps(ask | {"previews": [{"fps": 5, "width": 1280}]}))
        assert list(pool.map(look, looking)) == [(b"\x00\xff\xd8", session, True)] * 20
        first = looking[0]
        first.send(json.dumps(ask))
        until(first, is_kind("levels"))
        heard = [received(first) for _ in range(40)]
        levels, states = (sum(map(is_kind(kind), heard)) for kind in ("levels", "state"))
        assert states < levels < 50 * states, "ten times as often as the state, where nobody is late"
        assert all(is_kind("state")(received(other)) for _ in range(3)), "nobody else gets them"
        first.send(json.dumps({"type": "watch"}))
        wait_for(lambda: is_kind("state")(received(first)) and is_kind("state")(received(first)))
        for _ in range(2):
            assert page.post(f"{SESSIONS}/{session}/disarm").json["state"] == "idle"
        until(first, lambda said: is_kind("state")(said) and not said["sessions"])


def test_what_is_not_understood_is_said_and_changes_nothing(page: Page) -> None:
    unread = ("", "x", "[]", '{"type": "watch", "previews": [{"fps": 99}]}', '{"type": "watch", "x": 1}', "[" * 5000)
    with opened(page) as looking:
        for sent in unread:
            looking.send(sent)
            assert until(looking, is_kind("error"))["message"].startswith("this is not understood")
        assert until(looking, is_kind("state"))


@pytest.mark.parametrize("length", [9_000, limits.LONGEST_BODY + 1])
def test_what_is_too_long_ends_it(page: Page, length: int) -> None:
    with opened(page) as looking:
        assert _ends_with(looking, lambda: looking.send("x" * length)) == 1009


def test_who_asks_too_often_is_let_go(page: Page) -> None:
    with opened(page) as looking:

        def ask() -> None:
            for _ in range(200):
                looking.send('{"type": "watch"}')

        assert _ends_with(looking, ask) == 1008


def _ends_with(looking: ClientConnection, act: Callable[[], None]) -> int | None:
    """Return the code with which the server ends it, once something was done."""
    try:
        act()
        while True:
            looking.recv(timeout=60)
    except ConnectionClosed as ended:
        return ended.rcvd.code if ended.rcvd else None


def test_there_are_only_so_many_pages(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.web.http.guard.MOST_SOCKETS", 2)
    with opened(page), opened(page):
        assert wish(page, Authorization=f"Bearer {page.token}") == 429
    assert wait_for(lambda: wish(page, Authorization=f"Bearer {page.token}") == 101)


def test_another_token_holds_at_once_and_closes_the_pages_that_are_open(page: Page, tmp_path: Path) -> None:
    before = page.token
    with opened(page) as looking:
        until(looking, is_kind("state"))
        made = command.liput(tmp_path, "token", "--new", more={"LIPUT_STATE": os.environ["LIPUT_STATE"]})
        page.token = made.stdout.strip()
        assert page.get("/api/v1/state").status == 200
        assert _ends_with(looking, lambda: None) == 1008
    assert wish(page, Authorization=f"Bearer {before}") == 401
    assert page.told[1:] == [], "nothing has gone wrong"


def test_a_page_that_goes_in_the_middle_of_a_frame_is_forgotten(page: Page) -> None:
    head = upgrade(page, Authorization=f"Bearer {page.token}")
    for piece in (b"\x81", b"\x81\xfe\xff", b"\xff\xff\xff\xff", b""):
        with socket.create_connection(("127.0.0.1", page.port), timeout=60) as connection:
            connection.sendall(head + piece)
    with opened(page) as looking:
        assert until(looking, is_kind("state"))


def test_of_each_picture_a_viewer_gets_as_many_as_it_wants() -> None:
    async def look() -> tuple[list[bytes | str], list[bytes | str]]:
        viewer, previews = Viewer(), (PreviewRequest(fps=2), PreviewRequest(source="podium", fps=1))
        viewer.watch(PageSubscription(session="a", previews=previews))
        shown: list[bytes | str] = []
        for tick in range(100):
            shown += await _shown(viewer, ("a", "program"), 1000.0 + tick / 10)
        return shown, await _shown(viewer, ("b", "program"), 2000.0)

    shown, of_another_session = asyncio.run(look())
    assert set(shown) == {b"\0jpeg"}
    assert 19 <= len(shown) <= 22
    assert of_another_session == []


async def _shown(viewer: Viewer, key: PictureKey, at_s: float) -> list[bytes | str]:
    viewer.show(key, b"jpeg", at_s)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.001):
            return await viewer.take()
    return []
