"""The routes of the page: its files, their headers, and nothing that comes from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mindspore_rec.monitor import page
from tests.source_tree import REPOSITORY

STATIC = Path(page.__file__).parent / "static"
FILES = sorted(STATIC.iterdir())


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=page.page_routes()))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_served_as_it_is(client: TestClient, file: Path) -> None:
    answer = client.get("/" if file.name == "page.html" else f"/static/{file.name}")
    assert answer.status_code == 200
    assert answer.content == file.read_bytes()
    kind = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}[file.suffix]
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_else_is_served(client: TestClient) -> None:
    for path in ("/static/", "/static/page.html", "/static/../page.py", "/static/%2e%2e/page.py"):
        assert client.get(path).status_code == 404
    assert client.post("/").status_code == 405


def test_the_page_has_no_script_of_its_own_and_loads_only_relative_addresses() -> None:
    html = (STATIC / "page.html").read_text("utf-8")
    assert re.findall(r"<script[^>]*>([^<]*)", html) == [""]
    assert not re.search(r"\s(on\w+|style)=", html)
    names = {file.name for file in FILES}
    for address in re.findall(r"(?:src|href)=\"([^\"]*)\"", html):
        assert address == "data:," or address.removeprefix("static/") in names


@pytest.mark.parametrize("file", [file for file in FILES if file.suffix == ".js"], ids=lambda file: file.name)
def test_scripts_put_in_text_only(file: Path) -> None:
    source = file.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", source)
    assert set(re.findall(r"https?://[^\"]*", source)) <= {"http://www.w3.org/2000/svg"}
    assert len(source.splitlines()) <= 320


def test_the_files_are_in_the_package() -> None:
    assert '"monitor/static/*"' in (REPOSITORY / "pyproject.toml").read_text("utf-8")
