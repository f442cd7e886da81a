"""Answers of the API: JSON as by `--json`, and errors with their HTTP status."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from config.errors import ErrorCause, LiputError, SettingsError, UsageError
from config.locale.lookup import BilingualText, error_sentence
from recorder.model.names import json_bytes
from recorder.running.protocol import RecorderRefused

BAD_REQUEST, NOT_FOUND, CONFLICT, BUSY, BROKEN = 400, 404, 409, 503, 500
PROBLEM = "application/problem+json"
_MISSING = {"missing", "no-device", "no-session", "no-request", "no-package", "no-plan"}


class ErrorDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """An error as a problem document (RFC 9457), with `code`, and `text` for people.

    `message` and `hint` say more to IT. `is_of_device`: `allow_missing` avoids it; `is_of_consent`: `although_refused`
    does.
    """

    title: str
    status: int
    code: str
    text: BilingualText
    message: str
    hint: str = ""
    is_of_device: bool = False
    is_of_consent: bool = False


class HttpRefusal(LiputError):
    """An error with its own HTTP status; `text` replaces the sentence for its cause."""

    def __init__(
        self, status: int, message: str, *,
        hint: str = "", why: ErrorCause | None = None, text: BilingualText | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint, why=why)
        self.text = text
        self.status = status
        self.headers = dict(headers or {})


def _http_status(error: LiputError) -> int:
    if isinstance(error, HttpRefusal):
        return error.status
    if error.why in _MISSING:
        return NOT_FOUND
    if isinstance(error, SettingsError):
        return CONFLICT  # the settings are wrong, not the request
    if isinstance(error, UsageError) or (isinstance(error, RecorderRefused) and error.exit_status == 2):
        return BAD_REQUEST
    return CONFLICT


def error_document(error: LiputError, status: int) -> ErrorDocument:
    """Return the document of an error, for an answer of `status`."""
    text = error.text if isinstance(error, HttpRefusal) else None
    return ErrorDocument(
        title=error_sentence(error.why, "").english, status=status, code=error.why,
        text=text or BilingualText(*error_sentence(error.why, error.about)),
        message=error.message, hint=error.hint, is_of_consent=error.why == "speakers",
        is_of_device=isinstance(error, RecorderRefused) and error.is_of_device,
    )  # fmt: skip


def error_response(error: Exception) -> Response:
    """Return an error as a response; an unexpected one is not described."""
    if not isinstance(error, LiputError):
        error = HttpRefusal(BROKEN, "this was not expected", hint="the log of liput serve says more")
    status = _http_status(error)
    headers = error.headers if isinstance(error, HttpRefusal) else {}
    return Response(json_bytes(error_document(error, status)), status, headers, PROBLEM)
