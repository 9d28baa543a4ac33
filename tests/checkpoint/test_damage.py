"""Checkpoints that were truncated, changed, reordered or swapped: none is read, and none fails but by a clear line."""

import json
import random
import shutil

import numpy as np
import pytest

from mindspore_rec.checkpoint.array_file import ArrayFile, read_arrays
from mindspore_rec.checkpoint.capture import Capture
from mindspore_rec.checkpoint.chain import read_state
from mindspore_rec.checkpoint.checksum import CRC32C
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import MANIFEST, manifest_of, read_checkpoint
from mindspore_rec.checkpoint.history import verified
from mindspore_rec.checkpoint.manifest import Parent
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.optimizers import Adagrad
from mindspore_rec.embedding.table import HashTable

SUMS = "CRC32CSUMS"
ROUNDS = 500


class Trainer:
    """A table and a little more, with the checkpoints a trainer makes of them."""

    def __init__(self, folder):
        self.store = CheckpointStore(folder)
        self.table = HashTable(4, Adagrad(), admission=MinCount(2))
        self.table.changes.follow()

    def write(self, step, parent=None):
        while self.table.step < step:
            k = self.table.step
            batch = self.table.prepare(np.arange(k, k + 20).repeat(2))
            self.table.apply(batch, np.ones((20, 4), np.float32), seconds=float(k))
        self.table.evict(np.array([step]))
        dense = {"weight": np.full((3, 5), step, np.float32), "bias": np.zeros(5, np.float32)}
        meta = {"progress": {"step": step, "rows_trained": 100 * step}, "tables": {"deep": self.table.about()}}
        taken = self.table.changes.capture(whole=parent is None)
        groups = {"dense": dense, "table-deep": taken.arrays, "window": {"labels": np.full(7, float(step))}}
        return self.store.write(step, Capture(groups, {"table-deep": dict(taken.rows)}, meta, parent))


def parent_of(path):
    return Parent(step=manifest_of(path).step, digest=manifest_of(path).digest)


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Two full checkpoints, the first of which stays as it is, and a chain of two deltas on the second."""
    trainer = Trainer(tmp_path_factory.mktemp("intact"))
    trainer.write(2)
    newest = trainer.write(4)
    for step in (5, 8):
        newest = trainer.write(step, parent_of(newest))
    return trainer.store.folder


def truncate(rng, paths):
    path = rng.choice(paths)
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def flip(rng, paths):
    path = rng.choice(paths)
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 20))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))


def overwrite(rng, paths):
    path = rng.choice(paths)
    content = bytearray(path.read_bytes())
    begin = rng.randrange(len(content))
    content[begin : begin + 8] = rng.randbytes(len(content[begin : begin + 8]))
    path.write_bytes(bytes(content))


def append(rng, paths):
    path = rng.choice(paths)
    path.write_bytes(path.read_bytes() + rng.choice((b"\0", b"\n", b" ", rng.randbytes(30))))


def reorder(rng, paths):
    """Exchange two parts of a file, at lines where it has them."""
    path = rng.choice(paths)
    content = path.read_bytes()
    parts = content.splitlines(keepends=True) if path.name in (MANIFEST, SUMS) else []
    if len(parts) < 2:
        size = max(1, len(content) // 8)
        parts = [content[begin : begin + size] for begin in range(0, len(content), size)]
    one, other = rng.sample(range(len(parts)), 2)
    parts[one], parts[other] = parts[other], parts[one]
    path.write_bytes(b"".join(parts))


def swap(rng, paths):
    """Exchange two files of a checkpoint."""
    folder = rng.choice(paths).parent
    one, other = rng.sample([path for path in paths if path.parent == folder], 2)
    one.rename(folder / "x"), other.rename(one), (folder / "x").rename(other)


def swap_across(rng, paths):
    """Exchange the same file of two checkpoints."""
    name = rng.choice(paths).name
    one, other = rng.sample([path for path in paths if path.name == name], 2)
    one.rename(one.parent / "x"), other.rename(one), (one.parent / "x").rename(other)


def remove(rng, paths):
    rng.choice(paths).unlink()


def add(rng, paths):
    (rng.choice(paths).parent / rng.choice(("more.safetensors", "a", ".hidden"))).write_bytes(b"x")


def rename_folders(rng, paths):
    """Exchange two checkpoints themselves."""
    one, other = rng.sample(sorted({path.parent for path in paths}), 2)
    one.rename(one.parent / "x"), other.rename(one), (one.parent / "x").rename(other)


DAMAGES = [truncate, flip, overwrite, append, reorder, swap, swap_across, remove, add, rename_folders]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_damage_of_any_kind_is_found(intact, tmp_path, caplog):
    rng, found = random.Random(11), dict.fromkeys(DAMAGES, 0)
    before = {path.name: contents(path) for path in CheckpointStore(intact).paths()}
    for round_number in range(ROUNDS):
        folder = tmp_path / str(round_number)
        shutil.copytree(intact, folder)
        store, damage = CheckpointStore(folder), DAMAGES[round_number % len(DAMAGES)]
        damage(rng, sorted(file for path in store.paths()[1:] for file in path.iterdir()))
        paths = store.paths()
        damaged = [path for path in paths if contents(path) != before[path.name]]
        for path in damaged:
            with pytest.raises(CheckpointError) as error:
                read_checkpoint(path)
            assert "\n" not in str(error.value)
            found[damage] += 1
        # A delta is of no use without all before it, back to the full one.
        lost = [path for path in paths[1:] if set(paths[1 : paths.index(path) + 1]) & set(damaged)]
        assert [path for path, error in verified(paths) if error is not None] == lost
        caplog.clear()
        assert store.newest().path == [path for path in paths if path not in lost][-1]
        assert caplog.text.count("skipping checkpoint") == len(lost)
        shutil.rmtree(folder)
    assert min(found.values()) >= 0.9 * ROUNDS / len(DAMAGES), "some damage changes nothing: equal lines, say"


def rewritten(path, change):
    """A manifest changed by somebody who also writes the checksum anew."""
    manifest = json.loads((path / MANIFEST).read_text())
    change(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))
    digest = CRC32C.of_file(path / MANIFEST)
    lines = [line for line in (path / SUMS).read_text().splitlines() if not line.endswith(MANIFEST)]
    lines = sorted([*lines, f"{digest}  {MANIFEST}"], key=lambda line: line.split()[1])
    (path / SUMS).write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=99), "has format 99; this version reads 2 to 4"),
        (lambda m: m.update(format_version=1), "has format 1; this version reads 2 to 4"),
        (lambda m: m.update(format_version="4"), "format_version: Input should be a valid integer"),
        (lambda m: m.update(format_version=3), "has format 3, but CRC32CSUMS"),
        (lambda m: m.pop("meta"), "meta: Field required"),
        (lambda m: m.update(more=1), "more: Extra inputs are not permitted"),
        (lambda m: m.update(step=-1), "step: Input should be greater"),
        (lambda m: m.update(digest=""), "digest: expected one"),
        (lambda m: m.update(parent={"step": 2, "digest": "0" * 64}), "parent: expected one in a delta"),
        (lambda m: m.update(step=6), "a full one of step 6, under another name"),
        (lambda m: m["files"].update({"../escape.safetensors": 3}), "not the files it was written with"),
        (lambda m: m["files"].update({"dense.safetensors": 3}), "is no file of 3 bytes any more"),
        (lambda m: m["files"].pop("dense.safetensors"), "not the files it was written with: dense"),
    ],
)
def test_manifests_that_are_not_ours_are_refused(intact, tmp_path, change, message):
    path = tmp_path / "step-000000000004"
    shutil.copytree(intact / path.name, path)
    rewritten(path, lambda manifest: None)
    read_checkpoint(path)
    rewritten(path, change)
    with pytest.raises(CheckpointError, match=message) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


def test_links_and_large_lists_are_refused(intact, tmp_path):
    path = tmp_path / "step-000000000004"
    shutil.copytree(intact / path.name, path)
    target = tmp_path / "elsewhere"
    (path / "dense.safetensors").rename(target)
    (path / "dense.safetensors").symlink_to(target)
    with pytest.raises(CheckpointError, match="dense"):
        read_checkpoint(path)
    (path / SUMS).write_bytes(b"0" * (2 << 20))
    with pytest.raises(CheckpointError, match="CRC32CSUMS is larger than"):
        read_checkpoint(path)


def test_a_delta_of_another_base_is_refused(intact, tmp_path):
    """Two runs from one full checkpoint: the delta of one is no delta of the other's."""
    one, other = Trainer(tmp_path / "one"), Trainer(tmp_path / "other")
    for trainer, steps in ((one, (4,)), (other, (3, 4))):
        newest = trainer.write(2)
        for step in steps:
            newest = trainer.write(step, parent_of(newest))
        trainer.write(6, parent_of(newest))
    path = one.store.folder / "delta-000000000006"
    assert read_state(path).meta["progress"]["step"] == 6
    shutil.rmtree(path)
    shutil.copytree(other.store.folder / path.name, path)
    with pytest.raises(CheckpointError, match=r"needs that of step 4 with digest [0-9a-f]{8}, which is missing"):
        read_state(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays["rows"].__setitem__((3, 1), 9.0), "table-deep adds up to 22 rows with digest"),
        (lambda arrays: arrays["ids"].__setitem__(3, 99), "table-deep adds up to"),
        (lambda arrays: arrays["step"].__setitem__(0, 3), "table-deep is not what was saved"),
    ],
)
def test_what_a_chain_adds_up_to_is_what_was_saved(intact, tmp_path, change, message):
    """Somebody changed a base, its checksums and all."""
    shutil.copytree(intact, tmp_path / "c")
    path = tmp_path / "c" / "step-000000000004"
    arrays = {name: array.copy() for name, array in read_arrays(path / "table-deep.safetensors").items()}
    change(arrays)
    (path / "table-deep.safetensors").unlink()
    with ArrayFile(path / "table-deep.safetensors", {n: (a.dtype, a.shape) for n, a in arrays.items()}) as file:
        for name, array in arrays.items():
            file.append(name, array)
    assert file.checksum == CRC32C.of_file(path / "table-deep.safetensors")
    lines = (path / SUMS).read_text().splitlines()
    lines = [f"{file.checksum}{line[8:]}" if "deep" in line else line for line in lines]
    (path / SUMS).write_text("".join(f"{line}\n" for line in lines))
    read_checkpoint(path)
    with pytest.raises(CheckpointError, match=message):
        read_state(path)
