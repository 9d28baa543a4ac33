"""The page that shows a model server at work: what it serves, how fresh that is, and how training is going.

The page is a few files of ours (`static/`). It asks for nothing but itself and ``v1/status`` of the server it came
from, by relative addresses, so it also works behind a proxy that adds a prefix. It holds no figures of its own, so it
may be served without a token; the figures are asked for with the one a person types.
"""

from __future__ import annotations

from importlib import resources
from typing import List

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}  # the registry of the host may lack them
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Sent with every file: nothing is loaded from elsewhere, no script stands in the page, none can be put into it."""


def page_routes() -> List[Route]:
    """Routes of a model server: the page at ``/`` and what it is made of under ``/static/``, all without a token."""
    folder = resources.files("mindspore_rec.monitor").joinpath("static")
    routes = []
    for file in sorted(folder.iterdir(), key=lambda found: found.name):
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            path = "/" if file.name == "page.html" else f"/static/{file.name}"
            routes.append(_route(path, file.read_bytes(), kind))
    return routes


def _route(path: str, content: bytes, kind: str) -> Route:
    async def answer(request: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=f"{kind}; charset=utf-8")

    return Route(path, answer, methods=["GET"], name=path)
