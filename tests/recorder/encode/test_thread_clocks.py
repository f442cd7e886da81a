"""The clocks and names of real threads and processes, as the system has them."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from recorder.encode.thread_clocks import (
    OF_LIBRARY,
    child_programs,
    new_threads_named,
    process_cpu_ns,
    thread_cpu_ns,
    thread_names,
)
from tests.recorder.features.profiler.test_profile import burn
from tests.support.waiting import wait_for


def comm(number: int) -> str:
    return Path(f"/proc/self/task/{number}/comm").read_text().strip()


def test_the_clock_of_a_thread_is_what_it_takes_itself() -> None:
    number = threading.get_native_id()
    before = thread_cpu_ns(number)
    burn()
    after = thread_cpu_ns(number)
    assert before is not None
    assert after is not None
    assert after - before >= 30_000_000
    assert after <= time.thread_time_ns()


def test_a_thread_and_a_process_that_are_gone_have_none() -> None:
    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()
    assert thread.native_id is not None
    wait_for(lambda: thread_cpu_ns(thread.native_id or 0) is None)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_cpu_ns(child.pid) is None


def test_threads_are_called_as_python_calls_them_here_and_for_the_system() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="read-kamera podium utama")
    thread.start()
    try:
        names = thread_names({})
        assert thread.native_id is not None
        assert names[thread.native_id] == "read-kamera podium utama"
        assert comm(thread.native_id) == "read-kamera pod", "15 bytes of it"
        assert names[threading.get_native_id()] == threading.current_thread().name
    finally:
        go.set()
        thread.join()


def test_what_a_library_starts_is_called_as_was_said() -> None:
    import av

    before, own = thread_names({}), comm(threading.get_native_id())
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.thread_count = 320, 180, "yuv420p", 3
    context.framerate = 30
    with new_threads_named("x264"):
        context.open(strict=False)
    assert comm(threading.get_native_id()) == own, "its own name is what it was"
    new = [name for number, name in thread_names({}).items() if number not in before]
    assert new.count("x264" + OF_LIBRARY) >= 3
    with new_threads_named("a name that is much longer than that"):
        pass
    assert comm(threading.get_native_id()) == own


def test_children_are_known_by_their_modules_and_others_are_not_ours() -> None:
    others: set[int] = set()
    command = [sys.executable, "-P", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: child_programs(others).get(child.pid) == "http.server")
        wait_for(lambda: bool(process_cpu_ns(child.pid)))
        assert 1 not in child_programs(others)
        assert os.getppid() not in child_programs(others)
    finally:
        child.kill()
        child.wait()
    assert child.pid not in child_programs(others)
