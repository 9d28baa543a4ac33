"""Sections filled from mappings; `tests/cli/test_job.py` has the errors users see."""

from __future__ import annotations

import pytest
from pydantic import Field

from mindspore_rec.cli.section_values import section_of
from mindspore_rec.config import ConfigError, Section


class Inner(Section):
    """A nested section."""

    rate: float = Field(1.0, gt=0, description="a rate")


class Outer(Section):
    """A section with another in it."""

    count: int = Field(..., ge=1, description="how many")
    inner: Inner = Field(Inner(), description="more")


def fill(values: object) -> Outer:
    return section_of(Outer, values, "outer", lambda key: f"from {key}")


def test_values_and_defaults() -> None:
    assert fill({"count": 2}) == Outer(count=2)
    assert fill({"count": "2", "inner": {"rate": "5e-6"}}).inner.rate == 5e-6
    assert fill({"count": 2, "inner": None}).inner.rate == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "outer.count is not given: expected a whole number >= 1 (how many)"),
        ({"count": None}, "outer.count is not given: expected a whole number >= 1 (how many)"),
        ({"count": 0}, "outer.count = 0 (from outer.count): expected a whole number >= 1"),
        ({"cuont": 1}, "unknown key 'outer.cuont' (from outer.cuont); did you mean 'count'?"),
        ({"zzz": 1}, "unknown key 'outer.zzz' (from outer.zzz): expected count, inner"),
        (
            {"count": 1, "inner": {"rate": True}},
            "outer.inner.rate = True (from outer.inner.rate): expected a number > 0",
        ),
        (
            {"count": 1, "inner": {"rate": "1e999"}},
            "outer.inner.rate = inf (from outer.inner.rate): expected a finite number",
        ),
        ({"count": 1, "inner": 3}, "outer.inner (from outer.inner): expected a mapping of keys to values"),
        ([], "outer (from outer): expected a mapping of keys to values"),
    ],
)
def test_errors_name_key_value_origin_and_what_was_expected(values: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        fill(values)
    assert str(error.value) == message
