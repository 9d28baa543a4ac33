"""Data and rules that do not fit a model: one line that says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict

import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import TableParameters
from tests.models.small_tasks import model_of

DSSM: Dict[str, Any] = {"query_slots": "a", "doc_slots": "b"}


@pytest.mark.parametrize(
    ("name", "slots", "numbers", "settings", "message"),
    [
        ("recall/word2vec", "label a", "", {}, "sparse_slots: 'label a', expected the label's slot and 2 more: center"),
        ("recall/ncf", "label a b c", "", {}, "sparse_slots: 'label a b c', expected .* 2 more: user, item"),
        ("recall/ncf", "label a b", "x:2", {}, "dense_slots: x:2, expected none"),
        ("recall/dssm", "label a b", "x:2", DSSM, "dense_slots: x:2, expected none"),
        ("recall/dssm", "label a c", "", DSSM, "doc_slots = 'b': slot 'b' is not among sparse_slots"),
        ("recall/dssm", "label a b", "", {**DSSM, "query_slots": " "}, "query_slots = ' ': expected names of slots"),
        ("rank/dnn", "label", "x:2", {}, "sparse_slots: 'label', expected slots with ids after that of the label"),
    ],
)
def test_slots_that_a_model_cannot_take(
    name: str, slots: str, numbers: str, settings: Dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: {message}") as error:
        model_of(name, slots, numbers, **settings).network()
    assert "\n" not in str(error.value)


def test_rules_of_a_table_that_is_not_there() -> None:
    model = model_of("recall/ncf", "label a b")
    for name in ("embedding", "user_x"):
        given = replace(model, tables={**model.tables, name: TableParameters()})
        with pytest.raises(
            ConfigError, match=f"^table_parameters.{name}: expected the tables of recall/ncf: user, item$"
        ):
            given.network()


def test_long_lists_of_slots_are_cut() -> None:
    model = model_of("recall/ncf", "label a b")
    long = replace(model, schema=SlotSchema("label", tuple(str(k) for k in range(1000))))
    with pytest.raises(ConfigError) as error:
        long.network()
    assert len(str(error.value)) < 400
