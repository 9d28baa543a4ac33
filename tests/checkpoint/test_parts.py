"""What ranks tell each other of the files they have written for one checkpoint."""

import contextlib
import resource

import numpy as np
import pytest

from mindspore_rec.checkpoint.capture import whole
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.parts import Part, collect_parts, leave_part
from mindspore_rec.checkpoint.store import CheckpointStore


@contextlib.contextmanager
def nothing_can_be_written():
    """As on a full disk: files can be made, but no byte goes into them."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_left_is_collected_once(tmp_path):
    for rank in (2, 1):
        leave_part(tmp_path, rank, Part(sizes={f"file-{rank}": rank}))
    assert [part.sizes for part in collect_parts(tmp_path, 3)] == [{"file-1": 1}, {"file-2": 2}]
    assert list(tmp_path.iterdir()) == []


def test_a_rank_that_does_not_come_is_named(tmp_path):
    leave_part(tmp_path, 1, Part())
    with pytest.raises(CheckpointError, match=r"rank 2 has not written its part of the checkpoint in 0.1 s"):
        collect_parts(tmp_path, 3, deadline=0.1)


def test_a_rank_that_failed_is_named_with_its_reason(tmp_path):
    leave_part(tmp_path, 1, Part(error="it is wet"))
    with pytest.raises(CheckpointError, match=r"^rank 1: it is wet$"):
        collect_parts(tmp_path, 2)


def test_a_rank_whose_disk_is_full_is_not_waited_for(tmp_path):
    store = CheckpointStore(tmp_path, rank=1, ranks=2)
    with nothing_can_be_written(), pytest.raises(OSError, match="File too large"):
        store.write_part(3, whole(Checkpoint({"dense": {"w": np.zeros(1000)}}, {})))
    (writing,) = tmp_path.iterdir()
    with pytest.raises(CheckpointError, match=r"^rank 1 could not write its part of the checkpoint; its log says why$"):
        collect_parts(writing, 2, deadline=10)


@pytest.mark.parametrize("content", ["", "{", '{"groups": 3}', '{"more": 1}'])
def test_what_is_no_part_is_refused(tmp_path, content):
    (tmp_path / "part-1.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"^rank 1: part-1.json cannot be read$"):
        collect_parts(tmp_path, 2)
