"""Files of arrays written part by part: their content, their checksum, file systems with and without direct writes."""

import errno
import os

import numpy as np
import pytest
from crc32c import crc32c

from mindspore_rec.checkpoint import direct_file
from mindspore_rec.checkpoint.array_file import ArrayFile, read_arrays
from mindspore_rec.checkpoint.checksum import CRC32C, SHA256, joined


def written(path, arrays, parts, rng):
    """Write arrays a part of each in turn, as rows are."""
    cuts = {name: np.sort(rng.integers(0, len(array) + 1, parts - 1)) for name, array in arrays.items()}
    with ArrayFile(path, {name: (array.dtype, array.shape) for name, array in arrays.items()}) as file:
        for part in zip(*(np.split(array, cuts[name]) for name, array in arrays.items())):
            for name, array in zip(arrays, part):
                file.append(name, array)
    return file


@pytest.fixture(params=["direct", "not while it is opened", "not while it is written"])
def file_system(request, monkeypatch):
    """What a file system says to direct writes."""

    def refuse(allowed):
        def called(place, flags, *args, **options):
            if flags & os.O_DIRECT:
                raise OSError(errno.EINVAL, "Invalid argument")
            return allowed(place, flags, *args, **options)

        return called

    if request.param == "not while it is opened":
        monkeypatch.setattr(direct_file.os, "open", refuse(os.open))
    elif request.param == "not while it is written":
        direct = set()
        opened, pwrite = os.open, os.pwrite

        def open_(place, flags, *args, **options):
            descriptor = opened(place, flags, *args, **options)
            (direct.add if flags & os.O_DIRECT else direct.discard)(descriptor)
            return descriptor

        def write(descriptor, content, place):
            if descriptor in direct:
                raise OSError(errno.EINVAL, "Invalid argument")
            return pwrite(descriptor, content, place)

        monkeypatch.setattr(direct_file.os, "open", open_)
        monkeypatch.setattr(direct_file.os, "pwrite", write)


@pytest.mark.parametrize("seed", range(6))
def test_arrays_are_read_as_they_were_written(tmp_path, monkeypatch, file_system, seed):
    monkeypatch.setattr(direct_file, "_STAGE_BYTES", 8192)
    rng = np.random.default_rng(seed)
    count = [0, 1, 100, 5000, 33_333, 70_001][seed]
    arrays = {
        "ids": rng.integers(-(2**62), 2**62, count),
        "rows": rng.standard_normal((count, 3)).astype(np.float32),
        "short": rng.integers(0, 9, (count, 1), dtype=np.uint16),
        "waiting": rng.random(7) < 0.5,
    }
    file = written(tmp_path / "a.safetensors", arrays, 9, rng)
    found = read_arrays(tmp_path / "a.safetensors")
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    assert (file.size, file.checksum) == (
        (tmp_path / "a.safetensors").stat().st_size,
        CRC32C.of_file(tmp_path / "a.safetensors"),
    )


def test_most_is_written_in_whole_pages(tmp_path, monkeypatch):
    pages = []
    write = direct_file.DirectFile.write_pages

    def noted(file, content, place):
        pages.append((len(content), place))
        write(file, content, place)

    monkeypatch.setattr(direct_file.DirectFile, "write_pages", noted)
    array = np.zeros(5 << 20, np.uint8)
    written(tmp_path / "a.safetensors", {"a": array}, 3, np.random.default_rng(0))
    assert all(place % 4096 == size % 4096 == 0 for size, place in pages)
    assert sum(size for size, _ in pages) > array.size - 8192


def test_an_array_that_was_not_written_whole_is_noticed(tmp_path):
    file = ArrayFile(tmp_path / "a.safetensors", {"a": (np.dtype(np.uint8), (10,))})
    with pytest.raises(ValueError, match=r"^3 of 10 bytes were not written$"), file:
        file.append("a", np.zeros(7, np.uint8))


@pytest.mark.parametrize("second_bytes", [0, 1, 7, 4096, 100_003])
def test_checksums_of_parts_make_that_of_the_whole(second_bytes):
    whole = np.random.default_rng(second_bytes).bytes(500 + second_bytes)
    assert joined(crc32c(whole[:500]), crc32c(whole[500:]), second_bytes) == crc32c(whole)


def test_checksums_of_a_known_text(tmp_path):
    (tmp_path / "a").write_bytes(b"123456789")
    assert CRC32C.of_file(tmp_path / "a") == "e3069283"
    assert SHA256.of_file(tmp_path / "a").startswith("15e2b0d3c33891eb")
