"""Synthetic passes: rows a parser takes, labels that follow the probabilities, ids that change."""

from __future__ import annotations

import hashlib
from typing import Dict, List, Set

import numpy as np
import pytest

from mindspore_rec.data.slot_rows import SlotRows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.data.slot_text import SlotTextParser
from mindspore_rec.data.synthetic_passes import EFFECTS, SPARSE_SLOTS, SplitRows, split_rows
from mindspore_rec.metrics import auc

SLOTS = list(EFFECTS)


def parsed(split: SplitRows) -> SlotRows:
    found = SlotTextParser(SlotSchema.from_keys(SPARSE_SLOTS), value_first=True).parse(b"".join(split.lines))
    assert found.rejects == []
    return found.rows


def ids_of(rows: SlotRows, slot: str) -> List[np.ndarray]:
    """Of each row."""
    place = SLOTS.index(slot)
    begins, ends = rows.offsets[place : -1 : rows.num_slots], rows.offsets[place + 1 :: rows.num_slots]
    return [rows.ids[begin:end] for begin, end in zip(begins, ends)]


def day_of_ids(day: str, slot: str) -> Set[int]:
    found: Set[int] = set()
    for minute in range(0, 1440, 360):
        found.update(np.concatenate(ids_of(parsed(split_rows(7, day, minute, 1000)), slot)).tolist())
    return found


def test_rows_are_slot_text_with_the_label_first() -> None:
    split = split_rows(7, "20190720", 180, 400)
    rows = parsed(split)
    assert len(rows) == 400
    assert np.array_equal(rows.labels[:, 0], split.labels)
    assert all(line.split(b" ")[0] in (b"0:1", b"1:1") for line in split.lines)
    counts = {slot: {len(ids) for ids in ids_of(rows, slot)} for slot in SLOTS}
    most = {"12": 4, "13": 5, "14": 6, "15": 4}
    least = {"14": 0, "15": 0}
    wanted: Dict[str, Set[int]] = {slot: set(range(least.get(slot, 1), most.get(slot, 1) + 1)) for slot in SLOTS}
    assert counts == wanted


def test_ids_have_64_bits_and_none_is_padding() -> None:
    rows = parsed(split_rows(7, "20190720", 0, 2000))
    unsigned = np.unique(rows.ids.view(np.uint64))
    assert 0.45 < (unsigned >= 2**63).mean() < 0.55
    assert unsigned[0] > 0
    by_slot = [set(np.concatenate(ids_of(rows, slot)).tolist()) for slot in SLOTS]
    assert len(set.union(*by_slot)) == sum(map(len, by_slot))
    assert 1000 < unsigned.size < 2000


def test_the_same_arguments_give_the_same_bytes() -> None:
    split = split_rows(7, "20190720", 180, 50)
    assert split.lines == split_rows(7, "20190720", 180, 50).lines
    others = [(8, "20190720", 180), (7, "20190721", 180), (7, "20190720", 240)]
    assert len({b"".join(split_rows(*other, 50).lines) for other in [*others, (7, "20190720", 180)]}) == 4
    digest = hashlib.sha256(b"".join(split.lines)).hexdigest()
    assert digest[:16] == "bf9e6352f236eda7"


def test_labels_follow_the_probabilities() -> None:
    splits = [split_rows(seed, "20190720", 180, 10_000) for seed in range(4)]
    labels, probabilities = (np.concatenate(column) for column in zip(*[split[1:] for split in splits]))
    assert 0.18 < labels.mean() < 0.24
    assert labels.sum() / probabilities.sum() == pytest.approx(1.0, abs=0.03)
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.0)):
        inside = (probabilities >= low) & (probabilities < high)
        assert labels[inside].mean() == pytest.approx(probabilities[inside].mean(), abs=0.02)
    assert 0.78 < auc(labels, probabilities) < 0.85


def test_every_slot_tells_something() -> None:
    """Of two values of a slot, the one with more clicks has them on other rows too."""
    rows = [parsed(split_rows(seed, "20190720", 180, 20_000)) for seed in (1, 2)]
    for slot in ("3", "8", "11", "12"):
        rates = []
        for given in rows:
            place = SLOTS.index(slot)
            counts = np.diff(given.offsets)[place :: given.num_slots]
            labels = np.repeat(given.labels[:, 0], counts)
            ids = np.concatenate(ids_of(given, slot))
            values, index = np.unique(ids, return_inverse=True)
            rates.append(dict(zip(values.tolist(), np.bincount(index, labels) / np.bincount(index))))
        both = sorted(rates[0].keys() & rates[1].keys())
        assert np.corrcoef([rates[0][id] for id in both], [rates[1][id] for id in both])[0, 1] > 0.9


def test_users_and_items_are_replaced_bit_by_bit() -> None:
    for slot, stay in (("2", 0.85), ("7", 0.70)):
        first, second, later = (day_of_ids(day, slot) for day in ("20190720", "20190721", "20190801"))
        assert len(first & second) / len(second) == pytest.approx(stay, abs=0.1)
        assert len(first & later) / len(later) < 0.1
    assert day_of_ids("20190720", "8") == day_of_ids("20190801", "8")


@pytest.mark.parametrize("arguments", [(-1, "20190720", 0, 1), (7, "20190732", 0, 1), (7, "20190720", 1440, 1)])
def test_arguments_out_of_range(arguments: tuple) -> None:
    with pytest.raises(ValueError, match=r"at least 0|no day"):
        split_rows(*arguments)
