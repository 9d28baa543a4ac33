"""One rank of the contract that every exchange keeps; run under a launcher, it writes what it found as JSON.

Every array is random, of a seed that all ranks know: so each rank also knows what the others send.
"""

from __future__ import annotations

import functools
import json
import sys
import time
import traceback
from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.distributed.ranks import Ranks, is_scheduler, open_exchange

SEED = 20240501
DTYPES = (np.int64, np.float32, np.int32, np.uint8)
ROUNDS = 50
LARGE = 20_000_000  # bytes
PAUSE = 1.0  # seconds in which all ranks wait for the first


def random_rows(key: Tuple[int, ...], dtype: type, rows: int, shape: Tuple[int, ...]) -> np.ndarray:
    """Any bits, so floats are also NaN, infinite and subnormal."""
    row_bytes = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=int))
    data = np.random.default_rng((SEED, *key)).integers(0, 256, rows * row_bytes, np.uint8)
    return data.view(dtype).reshape(rows, *shape)


def random_floats(key: Tuple[int, ...], dtype: type, shape: Tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng((SEED, *key))
    return np.asarray(random.normal(size=shape) * 10.0 ** random.integers(-6, 6)).astype(dtype)


class Contract:
    """The checks, in an order that is the same on all ranks."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.rank, self.size = exchange.rank, exchange.size
        self.checks = 0

    def run(self) -> int:
        self.check_special_cases()
        self.check_refusals()
        self.check_waiting()
        for number in range(ROUNDS):
            self.check_random_round(number)
        self.exchange.close()
        self.exchange.close()
        return self.checks

    def check_special_cases(self) -> None:
        nobody, everybody = np.zeros((self.size, self.size), int), np.full((self.size, self.size), 3)
        one_sender, one_receiver, only_last = nobody.copy(), nobody.copy(), nobody.copy()
        one_sender[0], one_receiver[:, self.size - 1], only_last[-1, 0] = 5, 7, 1
        for number, rows in enumerate((nobody, everybody, one_sender, one_receiver, only_last)):
            self.check_all_to_all((1, number), np.int64, rows, ())
        large = np.full((self.size, self.size), LARGE // 64 // self.size)
        self.check_all_to_all((2,), np.float32, large + np.arange(self.size), (16,))
        self.check_all_to_all((3,), np.float32, everybody, (4, 0))
        self.check_all_to_all((4,), np.dtype([("id", "<i8"), ("row", "<f4", 2)]), everybody, ())
        self.check_gather((5,), np.uint8, np.full(self.size, LARGE // self.size) + np.arange(self.size), ())
        self.check_gather((6,), np.int64, np.zeros(self.size, int), (2,))
        for number, shape in enumerate([(), (0,), (16,), (8191,), (8192,), (1250, 1001), (3, 1, 5)]):
            for dtype in (np.float32, np.float64):
                self.check_sum((7, number), dtype, shape)
        for root in range(self.size):
            for length in (0, 1, 8, 1_000_003):
                self.check_broadcast((8, root, length), length, root)

    def check_random_round(self, number: int) -> None:
        random = np.random.default_rng((SEED, 9, number))
        dtype = DTYPES[random.integers(len(DTYPES))]
        shape = ((), (1,), (3,), (16,), (2, 5))[random.integers(5)]
        most = (3, 100, 5000)[random.integers(3)]
        rows = random.integers(0, most, (self.size, self.size)) * (random.random((self.size, self.size)) < 0.7)
        self.check_all_to_all((10, number), dtype, rows, shape)
        self.check_gather((11, number), dtype, rows[0], shape)
        self.check_sum((12, number), (np.float32, np.float64)[number % 2], (int(random.integers(1, 40_000)),))
        self.check_broadcast((13, number), int(random.integers(0, 5000)), number % self.size)

    def check_all_to_all(self, key: Tuple[int, ...], dtype: type, rows: np.ndarray, shape: Tuple[int, ...]) -> None:
        def part(source: int, target: int) -> np.ndarray:
            return random_rows((*key, source, target), dtype, rows[source, target], shape)

        parts = [part(self.rank, target) for target in range(self.size)]
        if sum(key) % 3 == 0:  # nor need the memory be contiguous, or writable
            parts = [np.repeat(array, 2, axis=0)[::2] for array in parts]
            for array in parts:
                array.setflags(write=False)
        arrived = self.exchange.all_to_all(parts)
        self.same(arrived, [part(source, self.rank) for source in range(self.size)])
        self.same(parts, [part(self.rank, target) for target in range(self.size)])

    def check_gather(self, key: Tuple[int, ...], dtype: type, rows: np.ndarray, shape: Tuple[int, ...]) -> None:
        arrays = [random_rows((*key, rank), dtype, rows[rank], shape) for rank in range(self.size)]
        self.same(self.exchange.gather(arrays[self.rank]), arrays)

    def check_sum(self, key: Tuple[int, ...], dtype: type, shape: Tuple[int, ...]) -> None:
        """To the bit: in rank order, which also is the same order on all ranks."""
        arrays = [random_floats((*key, rank), dtype, shape) for rank in range(self.size)]
        expected = functools.reduce(np.add, arrays)
        total = self.exchange.sum(arrays[self.rank])
        self.same([total, arrays[self.rank]], [expected, random_floats((*key, self.rank), dtype, shape)])

    def check_broadcast(self, key: Tuple[int, ...], length: int, root: int) -> None:
        content = random_rows(key, np.uint8, length, ()).tobytes()
        given = content if self.rank == root else b"not this, of another length than the root's"
        assert self.exchange.broadcast(given, root) == content
        self.checks += 1

    def check_refusals(self) -> None:
        """All ranks ask for the same wrong thing, and go on."""
        wrong = [
            lambda: self.exchange.all_to_all([np.zeros(2)] * (self.size + 1)),
            lambda: self.exchange.all_to_all([np.array(1.0)] * self.size),
            lambda: self.exchange.all_to_all([np.array([None])] * self.size),
            lambda: self.exchange.gather(np.array(1.0)),
            lambda: self.exchange.sum(np.arange(3)),
            lambda: self.exchange.broadcast(b"", self.size),
        ]
        if self.size > 1:
            rows = [np.zeros((2, rank + 1), np.float32) for rank in range(self.size)]
            wrong += [
                lambda: self.exchange.all_to_all(rows),
                lambda: self.exchange.all_to_all([rows[self.rank]] * self.size),
                lambda: self.exchange.gather(rows[self.rank]),
                lambda: self.exchange.sum(np.zeros(self.rank + 1)),
            ]
        for call in wrong:
            with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
                call()
            self.checks += 1

    def check_waiting(self) -> None:
        """A rank that waits leaves the processor to the others."""
        self.exchange.sum(np.ones(1))
        used, end = time.process_time(), time.monotonic() + PAUSE
        while self.rank == 0 and time.monotonic() < end:
            time.sleep(max(end - time.monotonic(), 0))
        self.exchange.sum(np.ones(1))
        assert time.process_time() - used < 0.4 * PAUSE
        self.checks += 1

    def same(self, found: List[np.ndarray], expected: List[np.ndarray]) -> None:
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            assert (one.dtype, one.shape) == (other.dtype, other.shape), (
                one.dtype,
                one.shape,
                other.dtype,
                other.shape,
            )
            assert one.tobytes() == other.tobytes()
        self.checks += 1


def main(folder: Path, task: str) -> int:
    if is_scheduler():
        from mindspore_rec.distributed.framework_exchange import run_scheduler

        run_scheduler()
        return 0
    ranks = Ranks.of_environment()
    exchange = open_exchange(ranks)
    if task == "fail":
        if ranks.rank < ranks.size - 1:
            exchange.sum(np.ones(1))
        return 3
    contract = Contract(exchange)
    verdict = {"rank": ranks.rank, "size": ranks.size, "launcher": ranks.launcher, "error": ""}
    try:
        verdict["checks"] = contract.run()
    except Exception:
        verdict["error"] = traceback.format_exc()
    (folder / f"verdict-{ranks.rank}.json").write_text(json.dumps(verdict), "utf-8")
    return int(bool(verdict["error"]))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
