"""docs/serving.md names the keys, routes and metrics of the server, and those of publications, as they are."""

from __future__ import annotations

import re
from typing import List, Type

import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from mindspore_rec.config import PublishConfig, Section
from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.http_limits import InFlight
from mindspore_rec.serving.publication import PublicationManifest
from mindspore_rec.serving.server import ModelServer
from tests.serving.array_predictor import ArrayPredictor
from tests.source_tree import REPOSITORY

TEXT = (REPOSITORY / "docs" / "serving.md").read_text("utf-8")


def table(heading: str) -> List[List[str]]:
    """Rows of the table after a heading."""
    lines = TEXT.split(f"{heading}\n", 1)[1].split("\n#", 1)[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return rows[2:]


def shown(section: Type[Section], key: str) -> str:
    value = section.model_fields[key].default
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "4 MiB" if key == "max_body" else str(value)


@pytest.mark.parametrize(
    ("heading", "section"), [("### Keys", ServeConfig), ("### Keys of the trainer", PublishConfig)]
)
def test_keys(heading: str, section: Type[Section]) -> None:
    fields = section.model_fields.items()
    assert table(heading) == [[f"`{key}`", shown(section, key), field.description] for key, field in fields]


def test_keys_of_a_publication() -> None:
    named = {key for row in table("### publication.json") for key in re.findall(r"`(\w+)`", row[0])}
    assert named == set(PublicationManifest.model_fields)


def server() -> ModelServer:
    config = ServeConfig(name="NAME")
    return ModelServer(ArrayPredictor(), config, InFlight(1), CollectorRegistry(), has_token=False)


def test_routes() -> None:
    named = set(re.findall(r"`(GET|POST) (/[^` ]+)`", TEXT.split("### Requests")[0]))
    routes = [route for route in server().routes() if isinstance(route, Route)]
    there = {
        (method, route.path.replace("{version}", "N"))
        for route in routes
        for method in (route.methods or ())
        if method != "HEAD"
    }
    assert named == there


def test_metrics() -> None:
    named = {name for row in table("### Metrics") for name in re.findall(r"`(\w+)(?:\{\w+\})?`", row[0])}
    families = server()._metrics.registry.collect()
    there = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert named == there
