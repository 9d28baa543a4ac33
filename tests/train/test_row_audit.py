"""The audit of source rows: what it counts, that it survives a checkpoint, and what it tells other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import List

import numpy as np
import pytest
from mindspore.train import RunContext
from mindspore.train.callback import _InternalCallbackParam

from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.train.audit_progress import AuditProgress, read_progress
from mindspore_rec.train.row_audit import MAX_ROWS, RowAudit


def numbers(*rows: int) -> np.ndarray:
    return np.array(rows, np.int64)


def context(*rows: int) -> RunContext:
    parameters = _InternalCallbackParam()
    parameters.batch_info = SimpleNamespace(source_rows=numbers(*rows))
    return RunContext(parameters)


def test_every_row_is_counted() -> None:
    audit = RowAudit()
    audit.on_train_step_end(context(0, 2, 2))
    audit.on_train_step_end(context(5, -1, 0))
    state = audit.state()
    assert state["counts"].tolist() == [2, 0, 2, 0, 0, 1]
    assert state["rows"].tolist() == [6]
    assert [state[name].dtype for name in ("counts", "digest", "rows")] == [np.uint8, np.uint64, np.int64]


def test_the_rows_of_all_ranks_are_counted() -> None:
    class Pair(Alone):
        size = 2

        def gather(self, array: np.ndarray) -> List[np.ndarray]:
            return [array, numbers(1, 3)]

    audit = RowAudit(exchange=Pair())
    audit.on_train_step_end(context(0, 2))
    without_rows = context()
    without_rows.original_args().batch_info = None
    audit.on_train_step_end(without_rows)
    assert audit.state()["counts"].tolist() == [1, 2, 1, 2]


def test_a_count_stays_at_255() -> None:
    audit = RowAudit()
    for rows in (numbers(*[3] * 200), numbers(*[3] * 300), numbers(3)):
        audit.count(rows)
    assert audit.state()["counts"].tolist() == [0, 0, 0, 255]


def test_the_digest_depends_on_the_rows_and_not_on_their_order() -> None:
    digests = []
    for cuts in ([[1, 2, 3]], [[3], [2, 1]], [[1, 2, 2]], [[1, 2]], [[1, 2, 4]]):
        audit = RowAudit()
        for rows in cuts:
            audit.count(numbers(*rows))
        digests.append(int(audit.state()["digest"][0]))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_continued_equals_uninterrupted() -> None:
    rng = np.random.default_rng(5)
    steps = [rng.integers(-1, 5000, 100) for _ in range(40)]
    whole, first, second = RowAudit(), RowAudit(), RowAudit()
    for rows in steps:
        whole.count(rows)
    for rows in steps[:15]:
        first.count(rows)
    saved = first.state()
    first.count(steps[0])  # the state is a copy
    second.load_state(saved)
    for rows in steps[15:]:
        second.count(rows)
    for name, array in whole.state().items():
        assert array.tobytes() == second.state()[name].tobytes()
    assert np.array_equal(
        whole.state()["counts"], np.bincount(np.concatenate(steps)[np.concatenate(steps) >= 0]).astype(np.uint8)
    )


def test_the_state_is_as_long_as_the_highest_row() -> None:
    """So that two trainers of the same rows have the same state, however these came."""
    grown, at_once = RowAudit(), RowAudit()
    for row in range(100):
        grown.count(numbers(row))
    at_once.count(np.arange(100))
    assert grown.state()["counts"].tobytes() == at_once.state()["counts"].tobytes()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("counts", np.zeros(3, np.int64)),
        ("counts", np.zeros((3, 1), np.uint8)),
        ("digest", np.zeros(2, np.uint64)),
        ("rows", np.zeros(1, np.int32)),
    ],
)
def test_a_state_that_is_none_is_refused(name: str, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"audit: {name}"):
        RowAudit().load_state({**RowAudit().state(), name: array})
    with pytest.raises(KeyError):
        RowAudit().load_state({name: array})


def test_a_row_number_beyond_reason_is_refused() -> None:
    with pytest.raises(ValueError, match=f"source row {MAX_ROWS}"):
        RowAudit().count(numbers(1, MAX_ROWS))


def test_data_sets_without_positions_are_not_counted() -> None:
    audit = RowAudit()
    audit.on_train_step_end(RunContext(_InternalCallbackParam()))
    assert audit.state()["rows"].tolist() == [0]


def test_the_file_says_what_is_trained_and_what_was_trained_again(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "audit"
    assert read_progress(file) == (0, 0)
    audit = RowAudit(file)
    audit.on_train_begin(context())
    for first in range(0, 50, 10):
        audit.on_train_step_end(context(*range(first, first + 10)))
        if first == 20:
            saved = audit.state()
    assert read_progress(file) == (50, 0)
    after_a_crash = RowAudit(file)
    after_a_crash.load_state(saved)
    assert read_progress(file) == (50, 0)
    after_a_crash.on_train_begin(context())
    assert read_progress(file) == (30, 20)
    after_a_crash.on_train_step_end(context(30, 31))
    without_a_state = RowAudit(file)
    without_a_state.on_train_begin(context())
    assert read_progress(file) == (0, 52)


def test_the_file_survives_kill_9(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    code = f"""
import os, pathlib
from mindspore_rec.train.audit_progress import AuditProgress
AuditProgress(pathlib.Path({str(file)!r})).note(12345)
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    environ = {**os.environ, "PYTHONPATH": os.getcwd()}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environ).returncode == -signal.SIGKILL
    assert read_progress(file) == (12345, 0)
    AuditProgress(file).begin(12000)
    assert read_progress(file) == (12000, 345)
