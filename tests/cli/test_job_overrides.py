"""``-o KEY=VALUE``."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mindspore_rec.cli.job_overrides import overridden
from mindspore_rec.config import ConfigError

DOCUMENT = {"runner": [{"name": "a", "epochs": 1}, {"name": "b"}], "hyper_parameters": {"x": 1}, "mode": "a"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.5", 3.5),
        ("true", True),
        ("", None),
        ("null", None),
        ("'3'", "3"),
        ("[1, b]", [1, "b"]),
        ("{a: 1}", {"a": 1}),
        ("a=b", "a=b"),
        ("a: b", {"a": "b"}),
        ("2019-07-20", "2019-07-20"),
        ("点击", "点击"),
    ],
)
def test_values_are_yaml(text: str, value: Any) -> None:
    changed, origins = overridden(DOCUMENT, [f"hyper_parameters.y={text}"])
    assert changed["hyper_parameters"] == {"x": 1, "y": value}
    assert origins == {"hyper_parameters.y": "-o"}


def test_lists_are_entered_by_name_and_the_last_wins() -> None:
    changed, _ = overridden(DOCUMENT, ["runner.b.epochs=2", "runner.b.epochs=3", "dataset.x=1"])
    assert changed["runner"] == [{"name": "a", "epochs": 1}, {"name": "b", "epochs": 3}]
    assert changed["dataset"] == {"x": 1}
    assert DOCUMENT["runner"][1] == {"name": "b"}, "what was given is not changed"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("runner.epochs", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("runner..epochs=3", "expected KEY=VALUE"),
        ("", "expected KEY=VALUE"),
        ("runner.epochs=3", "runner has no keys; expected one of a, b"),
        ("runner.c.epochs=3", "runner has no 'c'; expected one of a, b"),
        ("mode.x=3", "mode has no keys"),
        ("mode.x.y=3", "mode has no keys"),
        ("x=[1", "-o x=[1: not valid YAML in line 1"),
        ("x=2024-99-99", "not valid YAML"),
        ("x=[&a 1, *a]", "aliases"),
        ("x=!!python/object/apply:os.getcwd []", "not valid YAML"),
        ("x=" + "- " * 5000 + "a", "nested more than 20 deep"),
        ("x=" + "? " * 5000 + "a", "nested more than 20 deep"),
        (".".join("a" * 5000) + "=1", "nested more than 20 deep"),
        ("x={a: 1, b: {c: 1, c: 2}}", "-o x={a: 1, b: {c: 1, c: 2}}: key 'c' is given twice"),
        ("x=" + "y" * 20000, f"-o x={'y' * 198}...: a value has at most 16384 characters"),
        ("x=" + "[" * 3000, "nested more than 20 deep"),
        ("x=" + "1" * 20000, "at most 16384 characters"),
    ],
)
def test_what_is_refused(text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(part)):
        overridden(DOCUMENT, [text])
