"""Files of values of rows: what a line is, and when a file is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mindspore_rec.config import UserError
from mindspore_rec.data import row_dump
from mindspore_rec.data.row_dump import RowDump, remove_dumps, write_arrays

FILES = ["/data/20190720/0000/part-0", "hdfs://host/days/20190720/0005/part\t1"]
ORIGINS = np.array([[0, 7], [1, 0], [0, 12345678901]])
VALUES = {
    "label": np.array([[1], [0], [1]], np.float32),
    "hidden": np.arange(6, dtype=np.float32).reshape(3, 2, 1) / 4,
    "logit": np.array([[0.1], [-2.5e-7], [np.nan]], np.float32),
}
LINES = (
    "20190720/0000/part-0:7\tlogit:1:0.1\thidden:2:0:0.25\n"
    "20190720/0005/part%091:0\tlogit:1:-2.5e-7\thidden:2:0.5:0.75\n"
    "20190720/0000/part-0:12345678901\tlogit:1:nan\thidden:2:1:1.25\n"
)


def dump(path: Path) -> RowDump:
    return RowDump(path, ("logit", "hidden"), FILES)


@pytest.mark.parametrize("at_once", [1, 6, 7, 1 << 20])
def test_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(row_dump, "_NUMBERS_AT_ONCE", at_once)
    path = tmp_path / "20190720" / "1" / "part-00000"
    with dump(path) as file:
        file.put(ORIGINS[:2], {name: value[:2] for name, value in VALUES.items()})
        file.put(ORIGINS[:0], {name: value[:0] for name, value in VALUES.items()})
        file.put(ORIGINS[2:], {name: value[2:] for name, value in VALUES.items()})
        file.publish()
    assert path.read_text() == LINES
    assert list(path.parent.iterdir()) == [path]


def test_a_file_has_its_name_once_it_is_published(tmp_path: Path) -> None:
    path, part = tmp_path / "part-00000", tmp_path / ".part-00000.part"
    path.write_text("of an earlier run")
    with dump(path) as file:
        file.put(ORIGINS, VALUES)
    assert path.read_text() == "of an earlier run"
    assert part.read_text() == LINES
    with dump(path) as file:
        file.put(ORIGINS[:1], {name: value[:1] for name, value in VALUES.items()})
        assert path.read_text() == "of an earlier run"
        file.publish()
        assert path.read_text() == LINES.splitlines(keepends=True)[0]
    assert not part.exists()


def test_no_rows_are_an_empty_file(tmp_path: Path) -> None:
    with dump(tmp_path / "part-00000") as file:
        file.publish()
    assert (tmp_path / "part-00000").read_bytes() == b""


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/part-00000: cannot be written: Not a directory$|File exists$"):
        dump(tmp_path / "file" / "part-00000")
    with pytest.raises(UserError, match=r"params: cannot be written: "):
        write_arrays(tmp_path / "file" / "params", {})
    (tmp_path / ".full.part").symlink_to("/dev/full")
    file = dump(tmp_path / "full")
    file.put(ORIGINS, VALUES)
    for write in (file.publish, file.close):
        with pytest.raises(UserError, match=r"full: cannot be written: No space left on device$"):
            write()
    assert not (tmp_path / "full").exists()


def test_files_of_ranks_that_are_no_more(tmp_path: Path) -> None:
    for name in ("part-00000", "part-00001", "part-00002", "part-00012", "part-x", "params"):
        (tmp_path / name).touch()
    remove_dumps(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params", "part-00000", "part-00001", "part-x"]
    remove_dumps(tmp_path / "nowhere", 2)


@pytest.mark.parametrize("at_once", [2, 1 << 20])
def test_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(row_dump, "_NUMBERS_AT_ONCE", at_once)
    path = tmp_path / "1" / "params"
    for scale in (1, 2):
        write_arrays(path, {"mlp.weight": np.arange(6).reshape(2, 3) * scale, "mlp.bias": np.float32([0.1])})
        assert (
            path.read_text()
            == f"mlp.weight:6:0:{scale}:{2 * scale}:{3 * scale}:{4 * scale}:{5 * scale}\nmlp.bias:1:0.1\n"
        )
    assert list(path.parent.iterdir()) == [path]
