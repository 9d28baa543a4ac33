"""The logs of what was saved: written whole, read strictly."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from mindspore_rec.checkpoint import donefiles
from mindspore_rec.checkpoint.donefiles import SavedCheckpoint, SavedExport
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.stream.pass_schedule import PassKey

FIRST = SavedCheckpoint(PassKey("20190720", 6), 7, "model/20190720/6/")
SECOND = SavedCheckpoint(PassKey("20190721", 0), 8, "model/20190721/0/")
BASE = SavedExport(70, 7, "model/20190721/base", 'AUC=0.7 "quoted"\nnext 点击')
PATCH = SavedExport(71, 7, "model/20190721/delta-6")


def test_checkpoints_are_read_as_they_were_added(tmp_path: Path) -> None:
    assert donefiles.checkpoints(tmp_path) == []
    assert donefiles.add_checkpoint(tmp_path, FIRST) and donefiles.add_checkpoint(tmp_path, SECOND)
    assert (tmp_path / "donefile.txt").read_bytes() == (
        b"20190720\t7\tmodel/20190720/6/\t6\t0\n20190721\t8\tmodel/20190721/0/\t0\t0\n"
    )
    assert donefiles.checkpoints(tmp_path) == [FIRST, SECOND]
    assert os.listdir(tmp_path) == ["donefile.txt"]


def test_exports_are_read_as_they_were_added(tmp_path: Path) -> None:
    assert donefiles.add_base(tmp_path, BASE) and donefiles.add_patch(tmp_path, PATCH)
    assert donefiles.bases(tmp_path) == [BASE] and donefiles.patches(tmp_path) == [PATCH]
    line = json.loads((tmp_path / "patch_donefile.txt").read_text("utf-8"))
    assert line == {"id": "71", "key": "7", "input": "model/20190721/delta-6", "monitor_data": ""}
    assert (tmp_path / "base_donefile.txt").exists()


@pytest.mark.parametrize(
    ("add", "saved"), [(donefiles.add_checkpoint, FIRST), (donefiles.add_base, BASE), (donefiles.add_patch, PATCH)]
)
def test_what_is_there_is_not_added_twice(add: Callable[..., bool], saved: Any, tmp_path: Path) -> None:
    assert add(tmp_path, saved)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert not add(tmp_path, saved)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_crash_before_the_new_name_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    donefiles.add_checkpoint(tmp_path, FIRST)

    def crash(source: Path, target: Path) -> None:
        assert donefiles.checkpoints(tmp_path) == [FIRST]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            donefiles.add_checkpoint(tmp_path, SECOND)
    assert donefiles.checkpoints(tmp_path) == [FIRST]
    assert donefiles.add_checkpoint(tmp_path, SECOND)


def test_lines_of_paddlerec_are_read(tmp_path: Path) -> None:
    text = "20190720\t7\tmodel/20190720/6/\t6\t0\n\n20190721\t8\tmodel/20190721/0/\t-1\t0\n"
    (tmp_path / "donefile.txt").write_text(text, "utf-8")
    assert donefiles.checkpoints(tmp_path) == [FIRST, SECOND]


GOOD = FIRST.line() + "\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (GOOD + "20190721\t8\tp\t1\n", "line 2 is damaged: expected day, key, path, pass and 0"),
        (GOOD + "20190721\t8\tp\t1\t1\n", "line 2 is damaged"),
        (GOOD + "20190732\t8\tp\t1\t0\n", "line 2 is damaged"),
        (GOOD + "20190721\tx\tp\t1\t0\n", "line 2 is damaged: key 'x' is no whole number"),
        (GOOD + "20190721\t8\tp\t-2\t0\n", "line 2 is damaged: pass '-2'"),
        (GOOD + "20190721\t8\t\t1\t0\n", "line 2 is damaged"),
        (GOOD + "20190721\t8\tp\t1\t0", "the last line is cut off"),
        ("\x00" * 40 + "\n", "line 1 is damaged"),
    ],
)
def test_a_damaged_line_is_said_and_not_built_upon(text: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "donefile.txt"
    path.write_text(text, "utf-8")
    for work in (lambda: donefiles.checkpoints(tmp_path), lambda: donefiles.add_checkpoint(tmp_path, SECOND)):
        with pytest.raises(CheckpointError, match=part) as error:
            work()
        assert str(path) in str(error.value)
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "{",
        "[" * 100000,
        '{"id": "1", "key": "7", "input": "p"}',
        '{"id": 1, "key": "7", "input": "p", "monitor_data": ""}',
        '{"id": "1", "key": "7", "input": "p", "monitor_data": "", "more": ""}',
        '{"id": "1", "key": "x", "input": "p", "monitor_data": ""}',
        '{"id": "1", "id": "1", "key": "7", "input": "p", "monitor_data": ""}',
    ],
)
def test_a_damaged_export_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "patch_donefile.txt").write_text(f"{PATCH.line()}\n{line}\n", "utf-8")
    with pytest.raises(CheckpointError, match=r"patch_donefile.txt: line 2 is damaged"):
        donefiles.patches(tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "donefile.txt").write_bytes(b"\xff\n")
    with pytest.raises(CheckpointError, match="not UTF-8"):
        donefiles.checkpoints(tmp_path)


@pytest.mark.parametrize("path", ["a\tb", "a\nb", "a\rb"])
def test_a_path_that_would_end_its_field_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected no tab"):
        donefiles.add_checkpoint(tmp_path, SavedCheckpoint(FIRST.at, 1, path))
    assert donefiles.checkpoints(tmp_path) == []


def test_going_on_from_the_newest_that_is_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert donefiles.newest(tmp_path, lambda path: True) is None
    third = SavedCheckpoint(PassKey("20190720", 12), 7, "model/20190720/12/")
    for saved in (FIRST, SECOND, third):
        donefiles.add_checkpoint(tmp_path, saved)
    assert donefiles.newest(tmp_path, lambda path: True) == SECOND
    assert donefiles.newest(tmp_path, lambda path: path != SECOND.path) == third
    assert donefiles.newest(tmp_path, lambda path: path == FIRST.path) == FIRST
    assert "skipping model/20190721/0/" in caplog.text
    assert donefiles.newest(tmp_path, lambda path: False) is None


OTHER = SavedCheckpoint(FIRST.at, 9, "again/20190720/6/")


def test_a_pass_trained_again_adds_a_line_and_the_last_one_counts(tmp_path: Path) -> None:
    for saved in (FIRST, SECOND, OTHER):
        assert donefiles.add_checkpoint(tmp_path, saved)
    assert donefiles.checkpoints(tmp_path) == [SECOND, OTHER]
    assert not donefiles.add_checkpoint(tmp_path, OTHER)
    assert donefiles.newest(tmp_path, lambda path: path != SECOND.path) == OTHER
    assert donefiles.add_checkpoint(tmp_path, FIRST), "a line that no longer counts is no reason to leave it out"
    assert donefiles.newest(tmp_path, lambda path: path != SECOND.path) == FIRST
    lines = (tmp_path / "donefile.txt").read_text("utf-8").splitlines()
    assert lines == [saved.line() for saved in (FIRST, SECOND, OTHER, FIRST)]


@pytest.mark.parametrize(
    ("add", "read"), [(donefiles.add_base, donefiles.bases), (donefiles.add_patch, donefiles.patches)]
)
def test_an_export_made_again_adds_a_line(add: Callable[..., bool], read: Callable[..., Any], tmp_path: Path) -> None:
    again = replace(BASE, id=90, key=90)
    assert add(tmp_path, BASE) and add(tmp_path, PATCH) and add(tmp_path, again)
    assert read(tmp_path) == [PATCH, again]
    assert not add(tmp_path, again)


def test_the_later_of_two_lines_of_a_pass_is_the_newest(tmp_path: Path) -> None:
    (tmp_path / "donefile.txt").write_text(f"{FIRST.line()}\n{OTHER.line()}\n", "utf-8")
    assert donefiles.newest(tmp_path, lambda path: True) == OTHER


@pytest.mark.parametrize(
    ("add", "saved"),
    [
        (donefiles.add_checkpoint, replace(FIRST, at=PassKey("20190720", -1))),
        (donefiles.add_checkpoint, replace(FIRST, at=PassKey("20190732", 1))),
        (donefiles.add_checkpoint, replace(FIRST, at=PassKey("2019-07-20", 1))),
        (donefiles.add_checkpoint, replace(FIRST, key=-7)),
        (donefiles.add_checkpoint, replace(FIRST, key="x\t1")),
        (donefiles.add_checkpoint, replace(FIRST, path="")),
        (donefiles.add_checkpoint, replace(FIRST, path="a\udc80")),
        (donefiles.add_base, replace(BASE, key=-1)),
        (donefiles.add_patch, replace(PATCH, id=1.5)),
        (donefiles.add_patch, replace(PATCH, monitor_data="\udc80")),
        (donefiles.add_patch, replace(PATCH, monitor_data=None)),
    ],
)
def test_what_would_not_be_read_as_it_is_is_not_written(add: Callable[..., bool], saved: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written to"):
        add(tmp_path, saved)
    assert os.listdir(tmp_path) == []


def test_lines_that_end_in_a_carriage_return_stay_as_they_are(tmp_path: Path) -> None:
    text = PATCH.line() + "\r\n"
    (tmp_path / "patch_donefile.txt").write_bytes(text.encode())
    donefiles.add_patch(tmp_path, BASE)
    assert (tmp_path / "patch_donefile.txt").read_bytes() == f"{text}{BASE.line()}\n".encode()


def test_a_file_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    donefiles.add_checkpoint(tmp_path, FIRST)
    size = (tmp_path / "donefile.txt").stat().st_size
    monkeypatch.setattr(donefiles, "MAX_BYTES", size)
    with pytest.raises(CheckpointError, match=r"donefile.txt: one line more than the"):
        donefiles.add_checkpoint(tmp_path, SECOND)
    assert donefiles.checkpoints(tmp_path) == [FIRST]
    monkeypatch.setattr(donefiles, "MAX_BYTES", size - 1)
    with pytest.raises(CheckpointError, match=rf"donefile.txt: longer than {size - 1} bytes"):
        donefiles.checkpoints(tmp_path)
