"""Both formats keep the same contract: what was written, in any portions, is read again to the bit."""

import shutil

import numpy as np
import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.data.part_files import open_part

FIELDS = 3
SUFFIXES = {"mindrecord": [".mindrecord", ".mindrecord.db"], "parquet": [".parquet"]}


def feature_rows(count, seed=0):
    """Ids over all bit patterns, the extremes among them."""
    rng = np.random.default_rng(seed)
    bounds = np.iinfo(np.int64)
    ids = rng.integers(bounds.min, bounds.max, (count, FIELDS), endpoint=True)
    ids[:1], ids[1:2], ids[2:3] = bounds.min, bounds.max, 0
    weights = rng.standard_normal((count, FIELDS)).astype(np.float32)
    labels = rng.integers(0, 2, (count, 1)).astype(np.float32)
    return ids, weights, labels


def read_blocks(format, path):
    """The samples of a MindRecord file, or the row groups of a Parquet file."""
    if format == "mindrecord":
        from mindspore.dataset import MindDataset

        data = MindDataset([str(path)], ["id", "weight", "label"], shuffle=False)
        return list(data.create_tuple_iterator(num_epochs=1, output_numpy=True))
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    groups = [file.read_row_group(k) for k in range(file.num_row_groups)]
    return [
        (*(np.stack(group[name].to_numpy()) for name in ("id", "weight")), group["label"].to_numpy()[:, None])
        for group in groups
    ]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=SUFFIXES)
def format(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


@pytest.mark.parametrize("portion", [1, 7, 100, 101, 250, 1000])
def test_rows_are_read_as_written_however_they_came(format, tmp_path, portion):
    columns = feature_rows(1000)
    with open_part(format, tmp_path, "part", block_rows=100) as part:
        for start in range(0, 1000, portion):
            held = [column[start : start + portion].copy() for column in columns]
            part.write(*held)
            for column in held:
                column[:] = 0  # the caller may use its arrays again
    assert part.close() == part.rows == 1000
    assert names(tmp_path) == ["part" + suffix for suffix in SUFFIXES[format]]
    blocks = read_blocks(format, tmp_path / f"part.{format}")
    if format == "mindrecord":
        assert [len(block[0]) for block in blocks] == [100] * 10
    for expected, *found in zip(columns, *blocks):
        joined = np.concatenate(found)
        assert (joined.dtype, joined.tobytes()) == (expected.dtype, expected.tobytes())


def test_the_last_block_may_be_shorter(format, tmp_path):
    part = open_part(format, tmp_path, "part", block_rows=400)
    part.write(*feature_rows(999))
    assert part.close() == 999
    sizes = [len(block[0]) for block in read_blocks(format, tmp_path / f"part.{format}")]
    assert sizes == ([400, 400, 199] if format == "mindrecord" else [999])


def test_parquet_has_a_row_a_row_in_large_groups(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    with open_part("parquet", tmp_path, "part", block_rows=10) as part:
        for seed in range(7):
            part.write(*feature_rows(10_000, seed))
    file = parquet.ParquetFile(tmp_path / "part.parquet")
    assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [65_536, 70_000 - 65_536]
    assert [str(field.type).split("[")[0].replace("element", "item") for field in file.schema_arrow] == [
        "fixed_size_list<item: int64>",
        "fixed_size_list<item: float>",
        "float",
    ]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_part_without_rows_leaves_no_file(format, tmp_path):
    with open_part(format, tmp_path, "part") as part:
        part.write(*feature_rows(0))
    assert part.close() == 0
    assert names(tmp_path) == []


def test_an_unfinished_part_is_removed(format, tmp_path):
    part = open_part(format, tmp_path, "part", block_rows=10)
    part.write(*feature_rows(25))
    with pytest.raises(KeyError), part:
        raise KeyError
    assert names(tmp_path) == []


def test_a_part_written_again_is_replaced(format, tmp_path):
    for count in (50, 20):
        with open_part(format, tmp_path, "part", block_rows=10) as part:
            part.write(*feature_rows(count))
    assert sum(len(block[0]) for block in read_blocks(format, tmp_path / f"part.{format}")) == 20


def test_a_part_may_be_moved(format, tmp_path):
    writing, done = tmp_path / "writing", tmp_path / "done"
    writing.mkdir()
    done.mkdir()
    with open_part(format, writing, "part", block_rows=10) as part:
        part.write(*feature_rows(25))
    for suffix in SUFFIXES[format]:
        (writing / f"part{suffix}").rename(done / f"part{suffix}")
    shutil.rmtree(writing)
    assert sum(len(block[0]) for block in read_blocks(format, done / f"part.{format}")) == 25


def test_whoever_may_read_the_folder_may_read_the_files(format, tmp_path):
    tmp_path.chmod(0o755)
    with open_part(format, tmp_path, "part") as part:
        part.write(*feature_rows(5))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_columns_that_do_not_fit_are_refused(format, tmp_path):
    ids, weights, labels = feature_rows(5)
    part = open_part(format, tmp_path, "part")
    with pytest.raises(ValueError, match=r"weights must be float32\[5, 3\], got float64\[5, 3\]"):
        part.write(ids, weights.astype(np.float64), labels)
    with pytest.raises(ValueError, match=r"labels must be float32\[5, 1\], got float32\[5\]"):
        part.write(ids, weights, labels[:, 0])
    with pytest.raises(ValueError, match=r"ids must be int64\[5, 3\], got int32\[5, 3\]"):
        part.write(ids.astype(np.int32), weights, labels)
    part.close()
    with pytest.raises(ValueError, match="closed"):
        part.write(ids, weights, labels)


def test_an_unknown_format_or_block_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="csv"):
        open_part("csv", tmp_path, "part")
    with pytest.raises(ValueError, match="block_rows"):
        open_part("mindrecord", tmp_path, "part", block_rows=0)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("mindspore_rec.data.parquet.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"mindspore-rec-online\[criteo\]"):
        open_part("parquet", tmp_path, "part")
