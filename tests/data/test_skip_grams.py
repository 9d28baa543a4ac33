"""Rows of words and their contexts, against a plain count of the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindspore_rec.config import SkipGramConfig, UserError
from mindspore_rec.data.skip_grams import SkipGrams, word_ids, write_rows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.data.slot_text import SlotTextParser


def maker(counts: Any, window: int = 3, negatives: int = 2, frequent: float = 0.0, seed: int = 0) -> SkipGrams:
    return SkipGrams(counts, window, negatives, frequent, np.random.default_rng(seed))


def test_with_a_window_of_one_every_neighbour_is_a_context() -> None:
    sentences = [np.array([0, 1, 2]), np.array([3]), np.array([], np.int64), np.array([4, 0])]
    made = maker([1] * 5, window=1).pairs(sentences)
    seen = made.labels == 1
    assert list(zip(made.centers[seen], made.contexts[seen])) == [(0, 1), (1, 0), (1, 2), (2, 1), (4, 0), (0, 4)]
    assert made.labels.tolist() == [1, 0, 0] * 6
    assert made.centers.tolist() == np.repeat([0, 1, 1, 2, 4, 0], 3).tolist()


def test_nearer_words_are_contexts_more_often() -> None:
    """Each center draws its reach from 1, 2, 3: a word at distance d is a context with probability (4 - d) / 3."""
    length = 30_000
    made = maker([1] * length, window=3, negatives=1).pairs([np.arange(length)])
    seen = made.labels == 1
    distances = Counter(np.abs(made.centers[seen] - made.contexts[seen]).tolist())
    assert set(distances) == {1, 2, 3}
    for distance, count in distances.items():
        assert count / (2 * length) == pytest.approx((4 - distance) / 3, abs=0.02)
    pairs = set(zip(made.centers[seen].tolist(), made.contexts[seen].tolist()))
    assert len(pairs) == seen.sum(), "no pair twice"
    inner = [pair for pair in pairs if 3 <= pair[0] < length - 3]
    assert all((center, 2 * center - context) in pairs for center, context in inner), "as far to both sides"


def test_negatives_are_drawn_by_count_and_are_never_the_context() -> None:
    counts = np.array([1000, 100, 10, 1])
    sentence = np.tile([0, 1], 20_000)
    made = maker(counts, window=1, negatives=3).pairs([sentence])
    drawn = made.labels == 0
    context = np.repeat(made.contexts[made.labels == 1], 3)
    assert not (made.contexts[drawn] == context).any()
    for word in (0, 1):
        others = np.arange(4) != word
        expected = counts**0.75 * others / (counts[others] ** 0.75).sum()
        found = np.bincount(made.contexts[drawn][context == word], minlength=4)
        np.testing.assert_allclose(found / found.sum(), expected, atol=0.01)


def test_frequent_words_are_left_out() -> None:
    """A word of share f stays with probability sqrt(t / f)."""
    counts = np.array([90_000, 10_000])
    words = np.repeat([0, 1], counts)
    made = maker(counts, window=1, negatives=1, frequent=0.1).pairs([words[k : k + 2] for k in range(0, 90_000, 2)])
    assert (made.labels == 1).sum() / 90_000 == pytest.approx(0.1 / 0.9, rel=0.05), "both words of a pair must stay"
    rare = maker(counts, window=1, negatives=1, frequent=0.1).pairs([words[-2:]] * 100)
    assert (rare.labels == 1).sum() == 200


def test_the_file_is_slot_text_of_the_ids_of_words(tmp_path: Path) -> None:
    text, rows = tmp_path / "text.txt", tmp_path / "new" / "part-0"
    text.write_text("ab cd ab\n\n  cd\tab rare\r\n", "utf-8")
    config = SkipGramConfig(text_file=str(text), rows_file=str(rows), window=1, negatives=1, min_count=2)
    assert write_rows(config) == {"words": 2, "words_in_text": 5, "rows": 12}
    parsed = SlotTextParser(SlotSchema.from_keys("label center context"), value_first=False).parse(rows.read_bytes())
    assert parsed.rejects == []
    names = dict(zip(word_ids(["ab", "cd"]).tolist(), ["ab", "cd"]))
    ids = [[names[value] for value in row] for row in parsed.rows.ids.reshape(-1, 2).tolist()]
    assert ids[::2] == [["ab", "cd"], ["cd", "ab"], ["cd", "ab"], ["ab", "cd"], ["cd", "ab"], ["ab", "cd"]]
    assert ids[1::2] == [[center, center] for center, _ in ids[::2]], "the only word that is not the context"
    assert parsed.rows.labels[:, 0].tolist() == [1, 0] * 6
    again = config.model_copy(update={"rows_file": str(tmp_path / "again")})
    write_rows(again)
    assert (tmp_path / "again").read_bytes() == rows.read_bytes()
    write_rows(again.model_copy(update={"draw_seed": 1, "min_count": 1}))
    assert (tmp_path / "again").read_bytes() != rows.read_bytes()


def test_a_long_line_is_several_sentences(tmp_path: Path) -> None:
    text, rows = tmp_path / "text.txt", tmp_path / "part-0"
    text.write_text(" ".join(["a", "b"] * 20_000), "utf-8")
    made = write_rows(SkipGramConfig(text_file=str(text), rows_file=str(rows), window=1, negatives=1, min_count=1))
    assert made == {"words": 2, "words_in_text": 40_000, "rows": 40 * 999 * 2 * 2}


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        (None, {}, r"cannot use .*text\.txt: No such file"),
        ("", {}, "0 different words, expected two or more seen min_count = 5 times"),
        ("a a a a a b", {}, "1 different words, expected two or more"),
        ("a b", {"min_count": 1, "rows_file": "/dev/null/rows"}, r"cannot use /dev/null.*: "),
    ],
)
def test_what_a_user_sees(text: Any, keys: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    if text is not None:
        path.write_text(text, "utf-8")
    given = {"text_file": str(path), "rows_file": str(tmp_path / "rows"), **keys}
    with pytest.raises(UserError, match=message):
        write_rows(SkipGramConfig(**given))
    assert not (tmp_path / "rows").exists()
