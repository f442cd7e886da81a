"""Answers of the API: JSON as by `--json`, and errors with their HTTP status."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from config.errors import LiputError, SettingsError, UsageError
from recorder.model.names import json_bytes
from recorder.running.protocol import RecorderRefused

BAD_REQUEST, NOT_FOUND, CONFLICT, BUSY, BROKEN = 400, 404, 409, 503, 500


class ErrorDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """An error and its remedy. `is_of_device`: `allow_missing` avoids it; `is_of_consent`: `although_refused` does."""

    message: str
    hint: str = ""
    is_of_device: bool = False
    is_of_consent: bool = False


class HttpRefusal(LiputError):
    """An error with its own HTTP status."""

    def __init__(self, status: int, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = dict(headers or {})


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `value` as a JSON response."""
    return Response(json_bytes(value), status, headers, "application/json")


def _http_status(error: LiputError) -> int:
    if isinstance(error, HttpRefusal):
        return error.status
    if error.why == "missing":
        return NOT_FOUND
    if isinstance(error, SettingsError):
        return CONFLICT  # the settings are wrong, not the request
    if isinstance(error, UsageError) or (isinstance(error, RecorderRefused) and error.exit_status == 2):
        return BAD_REQUEST
    return CONFLICT


def error_response(error: Exception) -> Response:
    """Return an error as a response; an unexpected one is not described."""
    if not isinstance(error, LiputError):
        return json_response(
            ErrorDocument(message="this was not expected", hint="the log of liput serve says more"), BROKEN
        )
    is_of_device = isinstance(error, RecorderRefused) and error.is_of_device
    said = ErrorDocument(
        message=error.message, hint=error.hint, is_of_device=is_of_device, is_of_consent=error.why == "speakers"
    )
    return json_response(said, _http_status(error), error.headers if isinstance(error, HttpRefusal) else None)
