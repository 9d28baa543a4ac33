"""Compiled graphs run in one thread of lowest priority, after a first call in the caller's."""

import os
import threading
from typing import List

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from mindspore_rec.train.graph_thread import LOWEST_PRIORITY, GraphThread


def whereabouts(_: object = None) -> tuple:
    thread = threading.get_native_id()
    return thread, os.getpriority(os.PRIO_PROCESS, thread)


def test_first_call_is_the_callers_and_later_ones_have_lowest_priority() -> None:
    run, other = GraphThread(whereabouts), GraphThread(whereabouts)
    assert run() == whereabouts()
    assert other() == whereabouts()
    thread, priority = run()
    assert thread != threading.get_native_id()
    assert priority == LOWEST_PRIORITY
    assert other() == (thread, priority), "all graphs share one thread"
    assert whereabouts()[1] < LOWEST_PRIORITY, "the caller keeps its priority"


def test_errors_reach_the_caller() -> None:
    def fail(when: bool) -> None:
        if when:
            raise ValueError("in the graph")

    run = GraphThread(fail)
    run(False)
    with pytest.raises(ValueError, match="in the graph"):
        run(True)


def test_a_call_that_failed_to_compile_is_first_again() -> None:
    threads: List[int] = []

    def compile_twice() -> None:
        threads.append(threading.get_native_id())
        if len(threads) == 1:
            raise ValueError("does not compile")

    run = GraphThread(compile_twice)
    with pytest.raises(ValueError, match="does not compile"):
        run()
    run()
    assert threads == [threading.get_native_id()] * 2


def test_a_cell_gives_the_same_in_both_threads() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)
    cell = nn.Dense(4, 2)
    run, rows = GraphThread(cell), Tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
    first, second = run(rows).asnumpy(), run(rows).asnumpy()
    np.testing.assert_array_equal(first, second)


class _Halves(nn.Cell):
    def construct(self, few, many):
        return few * 0.5, many * 0.5, ops.relu(few) * 0.25


def test_subnormal_numbers_are_zeros_in_every_call() -> None:
    """Else they would be in some calls only, by how long the process has run, and a restart would change the state."""
    ms.set_context(mode=ms.GRAPH_MODE)
    run = GraphThread(_Halves())
    few, many = (Tensor(np.full(shape, 1e-40, np.float32)) for shape in ((8,), (300, 300)))
    for _ in range(40):
        assert not any(output.asnumpy().any() for output in run(few, many))
    assert (few.asnumpy() * np.float32(0.5)).all(), "the caller computes as before"
