"""`liput` commands without their start: a server that has loaded what they load forks one process for each of them.

The start itself, and which module loads which, is not seen so: tests of those start a process of their own.
"""

import contextlib
import io
import multiprocessing
import os
import pkgutil
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import agent

PIECE_BYTES = 65_536
FIRST = "agent.cli.group"  # it says what numpy is to do before that is loaded


@cache
def server() -> ForkServerContext:
    """Return the server, which loads every module of `agent`, and with that what those load."""
    context = multiprocessing.get_context("forkserver")
    modules = [found.name for found in pkgutil.walk_packages(agent.__path__, "agent.")]
    context.set_forkserver_preload([FIRST, *modules, "tests.support.forked"])
    return context


def liput(
    words: Sequence[str], home: Path, variables: Mapping[str, str], timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, in the folder `home`, with `variables` as its whole environment.

    Raises subprocess.TimeoutExpired after `timeout` seconds, when it has been killed.
    """
    until = time.monotonic() + timeout
    with contextlib.ExitStack() as open_:
        pipes = [server().Pipe(duplex=False) for _ in range(2)]
        for end in (end for pipe in pipes for end in pipe):
            open_.enter_context(end)
        process = server().Process(target=_become, args=(words, home, dict(variables), *(there for _, there in pipes)))
        process.start()
        for _, there in pipes:
            there.close()
        try:
            written = _read([here for here, _ in pipes], until)
            process.join(max(0.0, until - time.monotonic()))
            status = process.exitcode
        finally:
            process.kill()  # says nothing to one that has ended
            process.join()
            process.close()
        if written is None or status is None:
            raise subprocess.TimeoutExpired(list(words), timeout)
        texts = (io.TextIOWrapper(io.BytesIO(one)).read() for one in written)  # as subprocess has them
        return subprocess.CompletedProcess(words, status, *texts)


def _read(pipes: Sequence[Connection], until: float) -> list[bytes] | None:
    """Read pipes to their ends; return None where that takes longer."""
    read = {pipe.fileno(): bytearray() for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for number in read:
            selector.register(number, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                return None
            for key, _ in ready:
                piece = os.read(key.fd, PIECE_BYTES)
                read[key.fd] += piece
                if not piece:
                    selector.unregister(key.fd)
    return [bytes(content) for content in read.values()]


def _become(words: Sequence[str], home: Path, variables: Mapping[str, str], out: Connection, err: Connection) -> None:
    """Be the command, in the process that was forked."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, out.fileno(), err.fileno())):
        os.dup2(descriptor, number)
    os.close(nothing)
    out.close()
    err.close()
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - those that there were are of what the server wrote to
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(home)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["liput", *words]
    from agent.cli.main import main

    main()
