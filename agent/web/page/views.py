"""Routes of the pages, templates and static files; scripts fill the pages from the API."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from agent.web.api.settings import is_new
from agent.web.http.context import ApiContext
from agent.web.page import texts
from agent.web.page.pages import SESSION, Page, all_pages, page_folders
from config.errors import LiputError
from config.locale.lookup import LANGUAGES, ProgramCard
from config.settings.schema import Settings
from recorder.running import runtime_directory

if TYPE_CHECKING:
    from jinja2 import Environment

THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE, SETUP_COOKIE = "liput_language", "liput_theme", "liput_setup"
YEAR_S = 365 * 86_400
FRESH = {"Cache-Control": "no-cache"}  # browsers revalidate each file, so that an upgrade shows at once


@cache
def _templates() -> "Environment":
    """Load Jinja with the first page, so that the daemon starts sooner."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(page_folders("templates")), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def routes() -> list[BaseRoute]:
    """Return the routes of all pages, for `agent.web.app.make_app`."""
    small = [Middleware(GZipMiddleware)]
    return [
        *(Route(page.path, _session if page is SESSION else _plain(page), middleware=small) for page in all_pages()),
        Route("/texts/{language}.json", _texts, middleware=small),
        Mount("/static", _Files(), middleware=small),
    ]


def _session(request: Request) -> Response:
    """Show the session. The first visit to a new PC leads to its set-up."""
    settings, has_no_setup = _settings(request)
    if has_no_setup and SETUP_COOKIE not in request.cookies and not _is_busy():
        return RedirectResponse("/setup", 303)
    return _page(request, SESSION.template, settings, {
        "layouts": list(settings.layouts),
        "cards": list(map(str, ProgramCard)),
        "first_layout": settings.program.layout,
        "card_mutes": settings.program.card_mutes,
        "destinations": list(settings.destinations),
        "is_new": has_no_setup,
    })  # fmt: skip


def _is_busy() -> bool:
    try:
        return any(runtime_directory.alive_recorders())
    except LiputError:
        return True


def _plain(page: Page) -> Callable[[Request], Response]:

    def show(request: Request) -> Response:
        settings, _ = _settings(request)
        return _page(request, page.template, settings, {**page.facts(settings), **request.path_params})

    return show


def missing(request: Request) -> Response:
    """Return the page in place of one that does not exist."""
    response = _page(request, "missing.html.j2", _settings(request)[0], {})
    response.status_code = 404
    return response


def _texts(request: Request) -> Response:
    language = request.path_params["language"]
    if language not in LANGUAGES:
        raise HTTPException(404)
    content = texts.script_texts(language)
    headers = {**FRESH, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="application/json")


def _settings(request: Request) -> tuple[Settings, bool]:
    """Return the settings (defaults if their file is wrong), and whether this PC lacks its set-up."""
    house: ApiContext = request.app.state.house
    try:
        settings = house.settings.read()
    except LiputError:
        return Settings(), False
    return settings, is_new(settings)


def _page(request: Request, template: str, settings: Settings, facts: Mapping[str, object]) -> Response:
    """Render a page in the language chosen, or the room's."""
    wished = request.query_params.get("lang")
    language = wished or request.cookies.get(LANGUAGE_COOKIE, settings.general.language)
    language = language if language in LANGUAGES else LANGUAGES[0]
    theme = request.cookies.get(THEME_COOKIE, THEMES[0])
    t: Callable[..., str] = partial(texts.text, language)
    shown = _templates().get_template(template).render(
        t=t, language=language, languages=texts.NAMES.items(), theme=theme if theme in THEMES else THEMES[0],
        room=settings.general.room, pages=[(page.path, page.name) for page in all_pages() if page.name],
        here=f"/{request.url.path.split('/')[1]}",
        layout_name=lambda name: texts.all_texts(language).get(f"layout.{name}", name),  # a custom one has its own
        **facts,
    )  # fmt: skip
    response = HTMLResponse(shown)
    if wished in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, path="/", samesite="strict")
    return response


class _Files(StaticFiles):
    def __init__(self) -> None:
        super().__init__()
        self.all_directories = [*page_folders("static")]

    def file_response(self, *args: object, **options: object) -> Response:
        response = super().file_response(*args, **options)  # type: ignore[arg-type]  # passed on unchanged
        response.headers.update(FRESH)
        return response
