"""Checkpoints that were truncated, changed, reordered or swapped: none is read, and none fails but by a clear line."""

import hashlib
import json
import random
import shutil
import subprocess

import numpy as np
import pytest

from mindspore_rec.checkpoint.format import (
    MANIFEST,
    SUMS,
    Checkpoint,
    CheckpointError,
    read_checkpoint,
    verify_checkpoint,
)
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.optimizers import Adagrad
from mindspore_rec.embedding.table import HashTable

ROUNDS = 500


def checkpoint(step):
    table = HashTable(4, Adagrad(), admission=MinCount(2), seed=step)
    for k in range(step):
        batch = table.prepare(np.arange(k, k + 20).repeat(2))
        table.apply(batch, np.ones((20, 4), np.float32), seconds=float(k))
    dense = {"weight": np.full((3, 5), step, np.float32), "bias": np.zeros(5, np.float32)}
    meta = {"progress": {"step": step, "rows_trained": 100 * step}, "tables": {"deep": table.about()}}
    return Checkpoint({"dense": dense, "table-deep": table.state(), "window": {"labels": np.ones(7)}}, meta)


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Three checkpoints: an old one that stays, and two that are damaged."""
    store = CheckpointStore(tmp_path_factory.mktemp("intact"))
    for step in (2, 4, 5):
        store.write(step, checkpoint(step))
    return store.folder


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
    """Exchange the same file of both checkpoints."""
    name = rng.choice(paths).name
    one, other = (path for path in paths if path.name == name)
    one.rename(one.parent / "x"), other.rename(one), (one.parent / "x").rename(other)


def remove(rng, paths):
    rng.choice(paths).unlink()


def add(rng, paths):
    (rng.choice(paths).parent / rng.choice(("more.safetensors", "a", ".hidden"))).write_bytes(b"x")


def rename_folders(rng, paths):
    """Exchange the checkpoints themselves."""
    one, other = sorted({path.parent for path in paths})
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
        damaged = [path for path in store.paths() if contents(path) != before[path.name]]
        for path in damaged:
            for read in (verify_checkpoint, read_checkpoint):
                with pytest.raises(CheckpointError) as error:
                    read(path)
                assert "\n" not in str(error.value)
            found[damage] += 1
        whole = [path for path in store.paths() if path not in damaged]
        caplog.clear()
        assert store.newest().path == whole[-1]
        assert caplog.text.count("skipping checkpoint") == len([path for path in damaged if path > whole[-1]])
        shutil.rmtree(folder)
    assert min(found.values()) >= 0.9 * ROUNDS / len(DAMAGES), "some damage changes nothing: equal lines, say"


def rewritten(path, change):
    """A manifest changed by somebody who also writes the checksum anew."""
    manifest = json.loads((path / MANIFEST).read_text())
    change(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))
    digest = hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
    lines = [line for line in (path / SUMS).read_text().splitlines() if not line.endswith(MANIFEST)]
    lines = sorted([*lines, f"{digest}  {MANIFEST}"], key=lambda line: line[66:])
    (path / SUMS).write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=99), "has format 99; this version reads 2"),
        (lambda m: m.update(format_version=1), "has format 1; this version reads 2"),
        (lambda m: m.update(format_version="2"), "no format_version"),
        (lambda m: m.pop("meta"), "lacks one of step, files, meta"),
        (lambda m: m.update(step=6), "that of step 6, under another name"),
        (lambda m: m["files"].update({"../escape.safetensors": 3}), "not the files it was written with"),
        (lambda m: m["files"].update({"dense.safetensors": 3}), "is no file of 3 bytes any more"),
        (lambda m: m["files"].pop("dense.safetensors"), "not the files it was written with: dense"),
    ],
)
def test_manifests_that_are_not_ours_are_refused(intact, tmp_path, change, message):
    path = tmp_path / "step-000000000005"
    shutil.copytree(intact / path.name, path)
    rewritten(path, lambda manifest: None)
    read_checkpoint(path)
    rewritten(path, change)
    with pytest.raises(CheckpointError, match=message) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


def test_links_and_large_lists_are_refused(intact, tmp_path):
    path = tmp_path / "step-000000000005"
    shutil.copytree(intact / path.name, path)
    target = tmp_path / "elsewhere"
    (path / "dense.safetensors").rename(target)
    (path / "dense.safetensors").symlink_to(target)
    with pytest.raises(CheckpointError, match="dense"):
        read_checkpoint(path)
    (path / SUMS).write_bytes(b"0" * (2 << 20))
    with pytest.raises(CheckpointError, match="SHA256SUMS is larger than"):
        read_checkpoint(path)


def test_the_checksums_are_those_of_sha256sum(intact):
    for path in CheckpointStore(intact).paths():
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=path, check=True)
