"""``python -m mindspore_rec checkpoint``: what it prints, and what it says of damaged ones."""

import re

import numpy as np
import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import UserError


@pytest.fixture
def folder(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoints")
    for step in (10, 20):
        progress = {"step": step, "rows_trained": 4096 * step, "rows_rejected": 0}
        store.write(step, Checkpoint({"dense": {"w": np.ones(1 << 18, np.float32)}}, {"progress": progress}))
    return store.folder


def lines(capsys, *arguments, status=0):
    assert main(["checkpoint", *map(str, arguments)]) == status
    return capsys.readouterr().out.splitlines()


def test_list(folder, capsys):
    expected = ["step-000000000010, 1.0 MiB, rows_trained 40,960", "step-000000000020, 1.0 MiB, rows_trained 81,920"]
    assert lines(capsys, "list", folder) == expected
    assert lines(capsys, "list", folder / "step-000000000020") == expected[1:]


def test_verify_reads_every_byte(folder, capsys):
    for line, step in zip(lines(capsys, "verify", folder), (10, 20)):
        assert re.fullmatch(rf"whole: step-0000000000{step}, 1\.0 MiB, digest [0-9a-f]{{16}}", line)
    file = folder / "step-000000000010" / "dense.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    damaged, whole = lines(capsys, "verify", folder, status=1)
    assert damaged.startswith("damaged: checkpoint ")
    assert damaged.endswith("dense.safetensors is damaged: its checksum is not that of SHA256SUMS")
    assert whole.startswith("whole: step-000000000020")


@pytest.mark.parametrize("what", ["list", "verify"])
def test_a_folder_without_checkpoints_is_named(tmp_path, what):
    with pytest.raises(UserError, match="is no checkpoint, and no folder of checkpoints"):
        main(["checkpoint", what, str(tmp_path)])
