"""Pass two: parts hold the engine's arrays of their rows, wherever the work was cut."""

import json
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np
import pyarrow.parquet
import pytest

from mindspore_rec.config import FeatureConfig, UserError
from mindspore_rec.data.convert import Conversion, convert, start_runner
from mindspore_rec.data.input_files import find_files
from mindspore_rec.data.split import is_test_row
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.features.batch import Features
from mindspore_rec.features.engine import make_engine

ROWS = 3000
BAD_ROW = 1700
FEATURES = FeatureConfig()


def conversion(folder: Path, **changes: object) -> Conversion:
    values: Dict[str, object] = {
        "files": tuple(find_files(folder, "day_*")),
        "file_rows": (2000, 1000),
        "folder": str(folder / "parquet"),
        "features": FEATURES,
        "parts": 4,
        "test_size": 0.1,
        "seed": 1,
        "format": "parquet",
        "block_rows": 100,
        "dictionary_key": "",
    }
    return Conversion(**{**values, **changes})  # type: ignore[arg-type]


def converted(work: Conversion, workers: int, on_rows: Callable[[int], object] = lambda rows: None) -> Dict[str, int]:
    with start_runner(work.format, workers) as runner:
        return convert(work, runner, on_rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = SyntheticStream(seed=3).lines(0, ROWS).splitlines(keepends=True)
    lines[BAD_ROW] = b"7" + lines[BAD_ROW][1:]
    (tmp_path / "day_0").write_bytes(b"".join(lines[:2000]))
    (tmp_path / "day_1").write_bytes(b"".join(lines[2000:]))
    return tmp_path


def expected(folder: Path) -> Features:
    data = b"".join((folder / name).read_bytes() for name in ("day_0", "day_1"))
    return make_engine(FEATURES).transform([data], "block")


def read(folder: Path, kind: str) -> Tuple[List[int], np.ndarray, np.ndarray, np.ndarray]:
    """Rows of each part, and the arrays of all."""
    tables = [pyarrow.parquet.read_table(path) for path in sorted((folder / "parquet").glob(f"{kind}_*.parquet"))]
    columns = [
        np.concatenate([np.array(table[name].to_pylist()) for table in tables]) for name in ("id", "weight", "label")
    ]
    return [len(table) for table in tables], columns[0], columns[1], columns[2]


def test_parts_hold_all_rows_once_in_their_order(folder: Path) -> None:
    seen: List[int] = []
    rows = converted(conversion(folder), workers=2, on_rows=seen.append)
    features = expected(folder)
    tested = is_test_row(features.row.astype(np.int64), 0.1, seed=1)
    assert rows == {"train": int((~tested).sum()), "test": int(tested.sum())}
    assert sum(seen) == ROWS and rows["train"] + rows["test"] == ROWS - 1
    for kind, chosen in (("train", ~tested), ("test", tested)):
        parts, ids, weights, labels = read(folder, kind)
        assert len(parts) == 4
        np.testing.assert_array_equal(ids, features.ids[chosen])
        np.testing.assert_array_equal(weights.astype(np.float32), features.weights[chosen])
        np.testing.assert_array_equal(labels.reshape(-1), features.labels[chosen, 0])


def test_finished_parts_are_left_alone(folder: Path) -> None:
    work = conversion(folder)
    converted(work, workers=1)
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "parquet").glob("*.parquet")}
    work.note(2).unlink()  # as if the work had been cut off in part 2
    (folder / "parquet" / ".unfinished" / "2").mkdir(parents=True)
    seen: List[int] = []
    assert converted(work, workers=2, on_rows=seen.append)["train"] == sum(read(folder, "train")[0])
    assert sum(seen) == ROWS
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "parquet").glob("*.parquet")}
    assert {name for name in before if before[name] != after[name]} == {
        "train_input_part_2.parquet",
        "test_input_part_2.parquet",
    }
    assert not list((folder / "parquet").glob(".unfinished/*"))


@pytest.mark.parametrize("change", [{"parts": 3}, {"test_size": 0.0}, {"dictionary_key": "other"}], ids=str)
def test_parts_of_other_work_are_replaced(folder: Path, change: Dict[str, object]) -> None:
    converted(conversion(folder), workers=1)
    other = conversion(folder, **change)
    rows = converted(other, workers=1)
    assert sum(read(folder, "train")[0]) == rows["train"]
    assert len(list((folder / "parquet").glob("train_*"))) == other.parts
    assert len(list((folder / "parquet").glob("test_*"))) == (other.parts if other.test_size else 0)


def test_more_parts_than_rows_and_workers(tmp_path: Path) -> None:
    (tmp_path / "day_0").write_bytes(SyntheticStream(seed=3).lines(0, 3))
    work = conversion(tmp_path, file_rows=(3,), parts=5, test_size=0.0)
    assert converted(work, workers=3) == {"train": 3, "test": 0}
    assert sorted(path.name for path in (tmp_path / "parquet").glob("*.parquet")) == [
        f"train_input_part_{k}.parquet" for k in (1, 3, 4)
    ]


def test_an_error_of_a_process_is_one_of_ours(folder: Path) -> None:
    work = conversion(folder)
    (folder / "day_1").write_bytes(b"")
    with pytest.raises(UserError, match=r"^data_path: .*day_1 has changed"):
        converted(work, workers=2)


def test_a_note_that_is_no_json_is_none(folder: Path) -> None:
    work = conversion(folder)
    rows = converted(work, workers=1)
    assert json.loads(work.note(0).read_text())["rows"]["train"] > 0
    work.note(0).write_text("{")
    assert converted(work, workers=1) == rows
