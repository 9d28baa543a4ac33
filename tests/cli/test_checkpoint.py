"""``python -m mindspore_rec checkpoint``: what it prints, and what it says of damaged ones."""

import re

import numpy as np
import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.checkpoint.capture import Capture
from mindspore_rec.checkpoint.chain import chain_of, read_state
from mindspore_rec.checkpoint.format import Checkpoint, manifest_of
from mindspore_rec.checkpoint.manifest import Parent
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import UserError
from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.initial import Constant
from mindspore_rec.embedding.optimizers import SGD
from mindspore_rec.embedding.table import HashTable
from mindspore_rec.metrics.progressive import ProgressiveWindow


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
    assert damaged.endswith("dense.safetensors is damaged: its checksum is not that of CRC32CSUMS")
    assert whole.startswith("whole: step-000000000020")


@pytest.mark.parametrize("what", ["list", "verify"])
def test_a_folder_without_checkpoints_is_named(tmp_path, what):
    with pytest.raises(UserError, match="is no checkpoint, and no folder of checkpoints"):
        main(["checkpoint", what, str(tmp_path)])


DAY = 86_400_000


class Run:
    """A run whose checkpoints are a full one of step 10 and deltas of 20 and 30, each a day later."""

    def __init__(self, folder):
        self.store = CheckpointStore(folder)
        self.table = HashTable(2, SGD(1.0), init=Constant(0.0), admission=MinCount(1))
        self.window = ProgressiveWindow(4)
        self.table.changes.follow()
        parent = None
        for step in (10, 20, 30):
            path = self.write(step, parent)
            parent = Parent(step=step, digest=manifest_of(path).digest)

    def train(self, ids, size):
        batch = self.table.prepare(np.array(ids))
        self.table.apply(batch, np.full((len(ids), 2), -size, np.float32), seconds=1e9)

    def write(self, step, parent):
        self.train([1, 2, step], 1.0)
        self.train([2], float(step))
        if step == 30:
            self.table.evict(np.array([10]))
        good = step / 100
        self.window.update(np.array([1, 1, 0, 0]), np.array([0.5 + good, 0.2 + good, 0.5, 0.1]))
        taken, window = self.table.changes.capture(parent is None), self.window.state()
        progress = {"step": step, "rows_trained": step * 100, "event_time": step * DAY}
        meta = {"progress": progress, "tables": {"deep": self.table.about()}, "window": {"size": 4}}
        meta["window"]["rows"] = window["rows"]
        arrays = {key: value for key, value in window.items() if isinstance(value, np.ndarray)}
        groups = {"table-deep": taken.arrays, "window": arrays}
        return self.store.write(step, Capture(groups, {"table-deep": dict(taken.rows)}, meta, parent, step // 10 - 1))


@pytest.fixture
def chain(tmp_path):
    return Run(tmp_path / "chain").store.folder


def test_a_chain_is_listed_and_verified(chain, capsys):
    listed = lines(capsys, "list", chain)
    assert [line.split(",")[0] for line in listed] == [
        "step-000000000010",
        "delta-000000000020",
        "delta-000000000030",
    ]
    assert listed[1].endswith("rows_trained 2,000, rows up to 1970-01-21 00:00:00 UTC, adds to step 10")
    assert [line.split(":")[0] for line in lines(capsys, "verify", chain)] == ["whole"] * 3
    (chain / "delta-000000000020" / "window.safetensors").unlink()
    checked = lines(capsys, "verify", chain, status=1)
    assert [line.split(":")[0] for line in checked] == ["whole", "damaged", "damaged"]
    assert "needs that of step 20 with digest" in checked[2]


def test_diff_says_what_came_went_and_moved(chain, capsys):
    printed = lines(capsys, "diff", chain / "step-000000000010", chain, "--most", "2")
    assert "step: 10 -> 30" in printed
    assert "rows_trained: 1,000 -> 3,000" in printed
    assert "auc of the window: 0.75000 -> 0.87500 (+0.12500)" in printed
    assert printed[-3:] == [
        "table deep: 2 rows added, 1 removed, 2 changed",
        f"  id 2 moved by {52 * 2**0.5:g}",
        f"  id 1 moved by {2 * 2**0.5:g}",
    ]


def test_compact_makes_the_chain_one(chain, capsys):
    digest = manifest_of(chain / "delta-000000000030").digest
    assert lines(capsys, "compact", chain, "--keep", "1") == [f"wrote {chain / 'step-000000000030'}"]
    assert [path.name for path in CheckpointStore(chain).paths()] == ["step-000000000030"]
    assert manifest_of(chain / "step-000000000030").digest == digest
    assert lines(capsys, "compact", chain) == ["nothing to do: the newest checkpoint is a full one"]


def test_compact_leaves_a_folder_alone_that_is_trained_into(chain, capsys):
    with CheckpointStore(chain).held(), pytest.raises(UserError, match="in use by process"):
        main(["checkpoint", "compact", str(chain)])


def test_a_delta_written_on_goes_on_from_a_compacted_base(chain):
    """The trainer's next delta names the state, not the folder, that it adds to."""
    run = Run(chain.parent / "other")
    parent = Parent(step=30, digest=manifest_of(run.store.newest_path()).digest)
    main(["checkpoint", "compact", str(run.store.folder), "--keep", "1"])
    path = run.write(40, parent)
    assert path.name == "delta-000000000040"
    assert [link.name for link in chain_of(path)] == ["step-000000000030", path.name]
    read_state(path)


@pytest.mark.parametrize(
    ("when", "step"),
    [
        (["--step", "29"], 20),
        (["--step", "30"], 30),
        (["--time", "1970-01-21"], 20),
        (["--time", "1970-01-30T23:59:59Z"], 20),
        (["--time", "1970-01-12T01:00:00+01:00"], 10),
    ],
)
def test_at_brings_back_the_state_of_then(chain, tmp_path, capsys, when, step):
    (printed,) = lines(capsys, "at", chain, *when, "--out", tmp_path / "then")
    (written,) = CheckpointStore(tmp_path / "then").paths()
    assert printed.startswith(f"wrote {written}, the state of ")
    state = read_state(written)
    assert (written.name, state.manifest.kind) == (f"step-0000000000{step}", "full")
    assert (
        sorted(state.groups["table-deep"]["ids"].tolist())
        == {10: [1, 2, 10], 20: [1, 2, 10, 20], 30: [1, 2, 20, 30]}[step]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["at", "--step", "9", "--out", "x"], "no checkpoint in .* is of step 9 or before"),
        (["at", "--time", "1970-01-02", "--out", "x"], "is of that time or before"),
        (["at", "--time", "noon", "--out", "x"], "--time noon: expected an ISO time"),
        (["at", "--step", "-1", "--out", "x"], "-1"),
        (["at", "--step", "9"], "--out"),
        (["at", "--out", "x"], "--time"),
    ],
)
def test_what_at_cannot_do_is_one_line(chain, arguments, message):
    with pytest.raises(UserError, match=message) as error:
        main(["checkpoint", arguments[0], str(chain), *arguments[1:]])
    assert "\n" not in str(error.value)
