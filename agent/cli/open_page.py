"""`liput` without a command: opens the page in the browser, and starts the daemon if none runs."""

import json
import os
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable

import click

from agent.cli.desktop import OPENER, has_desktop, open_there
from agent.daemon.command_child import child_environment, liput_command
from agent.daemon.presence import is_serving
from agent.web.http.token import read_token
from agent.web.server import PageAddress, read_page_address, read_page_problem
from config.errors import StateError, UsageError
from config.settings.schema import Settings, load_settings
from devices.host.child import ChildProcess
from devices.uplink.redirects import SameServerRedirects
from recorder.running.runtime_directory import is_foreign_runtime, runtime_folder

READY_S = 30.0  # limit for the daemon to serve the page, on a PC that has just booted
LOOK_S = 0.05
ANSWER_S = 10.0
LOG_FILE = "serve.log"


def open_page(*, with_browser: bool) -> None:
    """Print the page's address and open it; the browser is let in if the page is this user's own."""
    if is_foreign_runtime():
        _open_page_of_service(with_browser=with_browser)
        return
    settings = load_settings()
    if not settings.web.enabled:
        raise UsageError("the page is switched off", hint="[web] enabled = true in the settings serves it")
    place = _wait_for_page()
    click.echo(place.url)
    if not with_browser:
        return
    _open_in_browser(lambda: _ticket(place, settings), "`liput token` lets you in")


def _open_page_of_service(*, with_browser: bool) -> None:
    place = read_page_address()
    if place is None:
        raise StateError(
            f"the service for {runtime_folder()} serves no page now", hint="IT sees why: sudo journalctl -u liput"
        )
    click.echo(place.url)
    if with_browser:
        _open_in_browser(lambda: place.url, "the page asks for the token, which IT has")


def _open_in_browser(address: Callable[[], str], how: str) -> None:
    """Open an address in the browser; if that fails, print `how` to log in."""
    if not has_desktop():
        click.echo(f"There is no desktop here: open that address elsewhere; {how}.", err=True)
    elif not open_there(address(), OPENER, "sensible-browser"):
        click.echo(f"No browser was found: open that address; {how}.", err=True)


def _wait_for_page() -> PageAddress:
    """Return the place of the page, once it is served. Blocks up to READY_S."""
    if (place := read_page_address()) is not None:
        return place
    daemon = None if is_serving() else _start_daemon()
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        if (place := read_page_address()) is not None:
            return place
        is_over = daemon is not None and daemon.status is not None and not is_serving()
        if is_over or read_page_problem():
            break
        time.sleep(LOOK_S)
    why = read_page_problem() or (_log_lines() or ["the daemon has not said why"])[-1].removeprefix("liput: ")
    raise StateError(f"the page is not served: {why}", hint="`liput serve` in a terminal says more")


def _start_daemon() -> ChildProcess:
    """Start the daemon, which outlives us and our terminal."""
    log = runtime_folder(make=True) / LOG_FILE
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        return ChildProcess(
            liput_command("serve"), env=child_environment(), cwd="/", stdin=subprocess.DEVNULL, stdout=descriptor,
            stderr=descriptor,
        )  # fmt: skip
    except OSError as error:
        raise StateError(f"the daemon cannot be started: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _log_lines() -> list[str]:
    try:
        return (runtime_folder() / LOG_FILE).read_text(errors="replace").strip().splitlines()
    except OSError:
        return []


def _ticket(place: PageAddress, settings: Settings) -> str:
    """Return an address that lets a browser in once."""
    asking = urllib.request.Request(  # noqa: S310 - the address is our own daemon's
        f"{place.url}api/v1/tickets", method="POST", headers={"Authorization": f"Bearer {read_token()}"}
    )
    trusting = None
    if place.url.startswith("https:"):
        trusting = ssl.create_default_context(cafile=settings.web.tls_certificate)
        trusting.check_hostname = False  # it is that certificate, at an address of this PC
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting), SameServerRedirects
    )
    try:
        with direct.open(asking, timeout=ANSWER_S) as answer:
            url: str = json.load(answer)["url"]
    except (OSError, ValueError, KeyError) as error:
        raise StateError(f"the page at {place.url} refuses the login: {error}") from None
    return url
