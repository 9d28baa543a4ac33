from __future__ import annotations

import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.data.slot_schema import SlotSchema

CRITEO = "click " + " ".join(str(number) for number in range(1, 27))


def test_keys_of_the_documents() -> None:
    schema = SlotSchema.from_keys(CRITEO, "dense_var:13")
    assert schema.label == "click"
    assert schema.sparse == tuple(str(number) for number in range(1, 27))
    assert (schema.dense, schema.dense_dim) == ((("dense_var", 13),), 13)
    assert SlotSchema.from_keys(" label  S1\n", " D1:1 D2:2 ").dense == (("D1", 1), ("D2", 2))


@pytest.mark.parametrize(
    ("sparse", "dense", "said"),
    [
        ("", "", "sparse_slots: empty"),
        ("click", "", "0 slots beside the label"),
        ("click 1 2 1", "", "slot '1': is there twice"),
        ("click 1 click", "", "slot 'click': is there twice"),
        ("click 1", "1:2", "slot '1': is there twice"),
        ("click a:b", "", "slot 'a:b'"),
        ("click a\x00", "", "slot 'a"),
        ("click \udc80", "", "printable"),
        ("click 1", "dense_var", "dense_slots: 'dense_var'"),
        ("click 1", "dense_var:", "dense_slots: 'dense_var:'"),
        ("click 1", "dense_var:-1", "dense_slots: 'dense_var:-1'"),
        ("click 1", "dense_var:\u0663", "dense_slots"),
        ("click 1", ":13", "slot ''"),
        ("click 1", "dense_var:0", "width of at least 1"),
        ("click 1", "a:9999 b:2", "10001 numbers"),
        ("click 1", "a:123456", "dense_slots: 'a:123456'"),
        (" ".join(str(number) for number in range(10_002)), "", "10001 slots"),
    ],
)
def test_keys_that_name_no_schema(sparse: str, dense: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        SlotSchema.from_keys(sparse, dense)
    assert "\n" not in str(caught.value)
