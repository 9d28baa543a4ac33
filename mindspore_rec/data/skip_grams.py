"""Rows of words and their contexts, made from text, as recall/word2vec learns from.

Skip-grams with negative sampling (Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their
Compositionality"): every word of a sentence is a center. It draws how far it looks, 1 to ``window`` words to each side;
each word there is a context, a row with label 1. For each of them ``negatives`` words are drawn by count ** 0.75, rows
with label 0; one that is the context itself is drawn again. Frequent words may be left out before (equation 5).

A sentence is a line, or each 1000 words of a longer one; a word is what spaces separate. The id of a word is what id
rule v1 makes of it in field 0.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence

import numpy as np

from mindspore_rec.config import SkipGramConfig, UserError
from mindspore_rec.features.batch import Int64
from mindspore_rec.features.hashing import field_seeds, hash_values
from mindspore_rec.published_file import published

_POWER = 0.75
_LONGEST = 1_000
_CHUNK_WORDS = 20_000
_LABELS = (b"label:0", b"label:1")


class Pairs(NamedTuple):
    """Rows: label 0 or 1 and the numbers of two words, each int64[n]."""

    labels: Int64
    centers: Int64
    contexts: Int64


def word_ids(words: Sequence[str]) -> Int64:
    """int64[n]: the ids of words, by which their vectors are looked up.

    >>> word_ids(["king", "queen"]).tolist()
    [1773772701745684736, -2316718092815063469]
    """
    return hash_values([word.encode("utf-8", "surrogateescape") for word in words], field_seeds(0, 1)).view(np.int64)


class SkipGrams:
    """Makes rows of sentences.

    Args:
        counts: how often each word is in the text, words that are left out not among them.
        window: words to each side, at most.
        negatives: drawn words for each context.
        frequent: share of a text above which words are left out at random, the more the more frequent; 0: none.
        rng: of all that is drawn.

    Raises:
        ValueError: there are less than two words.
    """

    def __init__(
        self, counts: Sequence[int], window: int, negatives: int, frequent: float, rng: np.random.Generator
    ) -> None:
        if len(counts) < 2:
            raise ValueError(f"{len(counts)} different words, expected two or more")
        self._window, self._negatives, self._rng = window, negatives, rng
        number = np.asarray(counts, np.float64)
        weights = np.cumsum(number**_POWER)
        self._cumulative = weights / weights[-1]
        self._kept = np.sqrt(frequent * number.sum() / number) if frequent else np.ones(len(number))

    def pairs(self, sentences: Sequence[Int64]) -> Pairs:
        """Rows of sentences, int64[words] each: those of a center are together, each context before its negatives."""
        words = np.concatenate([np.zeros(0, np.int64), *sentences])
        places = np.repeat(np.arange(len(sentences)), [len(sentence) for sentence in sentences])
        kept = self._rng.random(len(words)) < self._kept[words]
        words, places = words[kept], places[kept]
        centers, contexts = self._neighbours(places)
        seen = words[contexts]
        drawn = self._negative(seen)
        labels = np.zeros((len(seen), 1 + self._negatives), np.int64)
        labels[:, 0] = 1
        both = np.concatenate((seen[:, None], drawn), axis=1)
        return Pairs(labels.reshape(-1), np.repeat(words[centers], 1 + self._negatives), both.reshape(-1))

    def _neighbours(self, places: Int64) -> Sequence[Int64]:
        """Positions of centers and of their contexts, in order."""
        reach = self._rng.integers(1, self._window + 1, len(places))
        found: List[np.ndarray] = [np.zeros((2, 0), np.int64)]
        for distance in range(1, self._window + 1):
            left = np.flatnonzero(places[:-distance] == places[distance:])
            right = left + distance
            for center, context in ((left, right), (right, left)):
                near = reach[center] >= distance
                found.append(np.stack((center[near], context[near])))
        centers, contexts = np.concatenate(found, axis=1)
        order = np.lexsort((contexts, centers))
        return centers[order], contexts[order]

    def _negative(self, contexts: Int64) -> Int64:
        """int64[n, negatives], drawn words that are not the context of their row."""
        drawn = self._draw((len(contexts), self._negatives))
        while True:
            again = drawn == contexts[:, None]
            if not again.any():
                return drawn
            drawn[again] = self._draw((int(again.sum()),))

    def _draw(self, shape: Sequence[int]) -> Int64:
        return np.searchsorted(self._cumulative, self._rng.random(tuple(shape)), side="right").astype(np.int64)


def write_rows(config: SkipGramConfig) -> Dict[str, int]:
    """Write the rows of a text as ``label:1 center:ID context:ID``; the same text and keys give the same bytes.

    Returns:
        ``words``, different ones that are kept, ``words_in_text``, all of these, and ``rows``.

    Raises:
        UserError: a file cannot be read or written, or less than two words are kept.
    """
    text, rows = Path(config.text_file), Path(config.rows_file)
    try:
        with text.open("rb") as lines:
            counted = Counter(word for line in lines for word in line.split())
        kept = sorted(
            (word for word, count in counted.items() if count >= config.min_count),
            key=lambda word: (-counted[word], word),
        )
        counts = [counted[word] for word in kept]
        rng = np.random.default_rng(config.draw_seed)
        maker = SkipGrams(counts, config.window, config.negatives, config.frequent, rng)
        rows.parent.mkdir(parents=True, exist_ok=True)
        ids = word_ids([word.decode("utf-8", "surrogateescape") for word in kept]).view(np.uint64).tolist()
        centers, contexts = [b" center:%d" % id for id in ids], [b" context:%d\n" % id for id in ids]
        written = 0
        with text.open("rb") as lines, published(rows) as part, part.open("wb") as output:
            for pairs in map(maker.pairs, _sentences(lines, {word: k for k, word in enumerate(kept)})):
                output.write(_formatted(pairs, centers, contexts))
                written += len(pairs.labels)
    except ValueError as error:
        raise UserError(f"{text}: {error} seen min_count = {config.min_count} times") from None
    except OSError as error:
        raise UserError(f"cannot use {error.filename or rows}: {error.strerror}") from None
    return {"words": len(kept), "words_in_text": sum(counts), "rows": written}


def _sentences(lines: Iterable[bytes], numbers: Mapping[bytes, int]) -> Iterator[List[Int64]]:
    """Sentences as numbers of words, so many at a time as have some thousand words."""
    found: List[Int64] = []
    words = 0
    for line in lines:
        sentence = np.array([numbers[word] for word in line.split() if word in numbers], np.int64)
        for start in range(0, len(sentence), _LONGEST):
            found.append(sentence[start : start + _LONGEST])
            words += len(found[-1])
            if words >= _CHUNK_WORDS:
                yield found
                found, words = [], 0
    yield found


def _formatted(pairs: Pairs, centers: Sequence[bytes], contexts: Sequence[bytes]) -> bytes:
    tokens = zip(pairs.labels.tolist(), pairs.centers.tolist(), pairs.contexts.tolist())
    return b"".join([_LABELS[label] + centers[center] + contexts[context] for label, center, context in tokens])
