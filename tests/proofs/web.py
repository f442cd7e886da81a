"""Thousands of requests made up from the API's own description, well-formed and not: none is answered with a 5xx."""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from agent.web.app import ENDPOINTS
from agent.web.http.context import CommandRuns
from agent.web.openapi import described
from config.errors import DeviceNotFound
from config.state import STATE_VARIABLE as STATE
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.model.session_faults import kind_and_subject
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from recorder.running.runtime_directory import ended_recorder_folder
from tests.support import recorders, web
from tests.support.room import Room
from tests.support.web import Page

ENDING = ("stop", "disarm", "recording")
"""What would end the session that is recorded is asked of others only."""
OF_A_BUSY_PC = {"stepped-down", "frames-dropped"}
"""Losses that no request causes: a machine with too little time for both has them."""


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    return run(5000, arguments.seed)


def run(cases: int, seed: int) -> Mapping[str, object]:
    """Send so many requests to a page beside a session that is recorded; say how they were answered."""
    with tempfile.TemporaryDirectory(prefix="liput-web-") as name, pytest.MonkeyPatch.context() as patch:
        room = Room(Path(name) / "home")
        room.home.mkdir()
        room.configure(f'[general]\nroom = "Aula"\n[request]\npath = "{room.home}/dosir"\n')
        runtime = Path(name) / "runtime"
        patch.setenv(RUNTIME, str(runtime))
        patch.setenv(STATE, str(Path(name) / "state"))
        patch.setattr("devices.host.throttle.TokenBuckets.take", lambda *_: 0.0)
        runs, rehearsals = CommandRuns(lambda *_: (None, None)), CommandRuns(lambda *_: (None, None))
        spawned: list[SpawnedRecorder] = []

        def spawn(spec: RecorderSpec) -> SpawnedRecorder:
            """Start the first recorder that is asked for, and no other."""
            if spawned:
                raise DeviceNotFound(f"no camera is plugged in for {spec.asked.title!r}")
            spawned.append(SpawnedRecorder(spec))
            return spawned[0]

        try:
            given: dict[str, Any] = {"runs": runs, "rehearsals": rehearsals, "spawn": spawn}
            with web.serving(config_file=room.settings, folder=room.archive, **given) as page:
                return _beside_a_session(page, cases, seed)
        finally:
            if runtime.exists():
                recorders.kill_recorders(runtime)


def _beside_a_session(page: Page, cases: int, seed: int) -> Mapping[str, object]:
    body = {"title": "Rapat", "videos": ["synthetic"], "audios": ["synthetic"]}
    session = page.post("/api/v1/sessions", body).json["id"]
    began_s = time.monotonic()
    statuses = _send(page, session, cases, seed)
    took_s = time.monotonic() - began_s
    running = page.get("/api/v1/state").json["sessions"]
    log = _last_lines(session)
    result = page.post(f"/api/v1/sessions/{session}/stop", {"wait": True}).json
    by_status: Counter[str] = Counter()
    for key, count in statuses.items():
        by_status[key.rpartition(" ")[2]] += count
    broken = {key: count for key, count in statuses.items() if key.rpartition(" ")[2].startswith("5")}
    return {
        "cases": sum(statuses.values()),
        "seconds": round(took_s, 1),
        "operations": len({key.rpartition(" ")[0] for key in statuses}),
        "by_status": dict(sorted(by_status.items())),
        "server_errors": broken,
        "recording_state": result.get("state"),
        "recording_dropped": (running[0]["status"] or {}).get("dropped") if running else None,
        "recording_degraded": result.get("degraded"),
        "holds": not broken
        and result.get("state") == "sealed"
        and {kind_and_subject(reason)[0] for reason in result["degraded"]} <= OF_A_BUSY_PC,
    } | ({} if running else {"recording_ended_early": result, "log": log})


def _last_lines(session: str) -> list[str]:
    """Return what the recorder's libraries printed last; a recorder that was killed leaves that."""
    log = ended_recorder_folder(session).log
    return log.read_text(errors="replace").splitlines()[-20:] if log.exists() else []


def _send(page: Page, session: str, cases: int, seed: int) -> Counter[str]:
    """Send the requests, half of them wrong, in rounds: some operations have few different ones."""
    schema = schemathesis.openapi.from_dict(_with_session(described(ENDPOINTS), session))
    operations: list[Any] = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    statuses: Counter[str] = Counter()
    while (left := cases - statuses.total()) > 0:
        each = -(-left // (2 * len(operations)))
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                seed += 1
                _send_to(page, operation, mode, each, seed, statuses)
    return statuses


def _send_to(page: Page, operation: Any, mode: GenerationMode, count: int, seed: int, statuses: Counter[str]) -> None:
    name = f"{operation.method.upper()} {operation.path}"
    try:
        strategy = operation.as_strategy(generation_mode=mode)

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=strategy)
        def send(case: Any) -> None:
            answer = case.call(base_url=page.origin, headers={"Authorization": f"Bearer {page.token}"}, timeout=30)
            statuses[f"{name} {answer.status_code}"] += 1

        send()
    except hypothesis.errors.Unsatisfiable:
        return  # of an operation without parameters nothing can be wrong


def _with_session(document: dict[str, Any], session: str) -> dict[str, Any]:
    """Return the document in which half of the sessions asked for are the one that is recorded."""
    found: dict[str, Any] = json.loads(json.dumps(document))
    for path, operations in list(found["paths"].items()):
        if path.startswith("/api/v1/recording"):
            del found["paths"][path]
            continue
        if "/sessions/{id}" not in path or any(word in path for word in ENDING):
            continue
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["name"] == "id":
                    parameter["schema"] = {"anyOf": [{"const": session}, parameter["schema"]]}
    return found
