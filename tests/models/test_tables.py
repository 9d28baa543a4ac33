"""Configuration keys of embedding tables, and what they make of Wide&Deep."""

import numpy as np
import pytest
from pydantic import ValidationError

from mindspore_rec.config import ConfigError, ModelConfig, TableConfig
from mindspore_rec.embedding.admission import Always, MinCount, MinCountSketch, Probability
from mindspore_rec.embedding.eviction import LeastFrequent, LeastRecent, Unseen
from mindspore_rec.embedding.optimizers import SharedAdagrad
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.models.tables import admission_of, eviction_of, table_arguments


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({}, Always()),
        ({"admit_after": 5}, MinCount(5)),
        ({"admit_after": 5, "admit_memory": "1MiB"}, MinCountSketch(5, 1 << 20)),
        ({"admit_probability": 0.25}, Probability(0.25)),
    ],
)
def test_admission(keys, rule):
    assert admission_of(TableConfig(**keys)) == rule


@pytest.mark.parametrize(
    ("keys", "rules"),
    [
        ({}, ()),
        ({"evict_after": "9000step"}, (Unseen(steps=9000),)),
        ({"evict_after": "60s"}, (Unseen(seconds=60),)),
        ({"evict_after": "90min"}, (Unseen(seconds=5400),)),
        ({"evict_after": "12h"}, (Unseen(seconds=43200),)),
        ({"evict_after": "30d"}, (Unseen(days=30),)),
        ({"evict_after": "1d", "when_full": "least_recent"}, (Unseen(days=1), LeastRecent())),
        ({"when_full": "least_frequent"}, (LeastFrequent(),)),
    ],
)
def test_eviction(keys, rules):
    assert eviction_of(TableConfig(**keys)) == rules


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"admit_after": 2, "admit_probability": 0.5}, "admit_probability"),
        ({"admit_memory": 1 << 20}, "admit_memory"),
        ({"admit_memory": 100, "admit_after": 2}, "admit_memory"),
        ({"evict_after": "0d"}, "evict_after"),
    ],
)
def test_keys_that_contradict_each_other_are_named(keys, key):
    with pytest.raises(ConfigError, match=f"^{key} = .*: expected") as error:
        table_arguments(TableConfig(**keys))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["30", "d", "1w", "-1d", "1.5h", "30 d", "9999999999s"])
def test_times_that_are_none_are_refused(text):
    with pytest.raises(ValidationError, match="evict_after"):
        TableConfig(evict_after=text)


def test_wide_and_deep_get_the_rules():
    config = ModelConfig(
        layers=(4,),
        admit_after=3,
        evict_after="30d",
        max_table_rows=1000,
        row_type="bfloat16",
        deep_optimizer="shared_adagrad",
        deep_bound=2.0,
    )
    network = WideDeep(config)
    wide, deep = network.wide.table.table, network.deep.table.table
    assert (wide.admission, deep.admission) == (Always(), MinCount(3))
    assert wide.eviction == deep.eviction == (Unseen(days=30),)
    assert (wide.about()["row_type"], deep.about()["row_type"]) == ("float32", "bfloat16")
    assert deep.optimizer == SharedAdagrad(config.deep_learning_rate, weight_bounds=(-2.0, 2.0))
    for table in (wide, deep):
        table.prepare(np.arange(2000))
    assert (len(wide), len(deep)) == (1000, 0)
    waiting = WideDeep(config.model_copy(update={"admit_wide": True})).wide.table.table
    assert waiting.admission == MinCount(3)
