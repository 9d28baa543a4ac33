"""docs/serving.md names the keys, routes and metrics of the server as they are."""

from __future__ import annotations

import re
from typing import List

from prometheus_client import CollectorRegistry
from starlette.routing import Route

from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.http_limits import InFlight
from mindspore_rec.serving.server import ModelServer
from tests.serving.array_predictor import ArrayPredictor
from tests.source_tree import REPOSITORY

TEXT = (REPOSITORY / "docs" / "serving.md").read_text("utf-8")


def table(heading: str) -> List[List[str]]:
    """Rows of the table after a heading."""
    lines = TEXT.split(f"{heading}\n", 1)[1].split("\n#", 1)[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return rows[2:]


def shown(key: str) -> str:
    value = ServeConfig.model_fields[key].default
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "4 MiB" if key == "max_body" else str(value)


def test_keys() -> None:
    expected = [[f"`{key}`", shown(key), field.description] for key, field in ServeConfig.model_fields.items()]
    assert table("### Keys") == expected


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
