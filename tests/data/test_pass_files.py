"""The folders of a pass on local and other filesystems, as `ready_parts` asks for them and as they are read."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any, Iterator

import fsspec
import pytest

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data import part_folder
from mindspore_rec.data.pass_files import PartFolders, list_pass
from mindspore_rec.stream.pass_schedule import PassKey, PassSchedule
from mindspore_rec.stream.ready_parts import Folders, LocalFolders, Part, ready_parts

DAY = "20190720"
SCHEDULE = PassSchedule(DAY, DAY, split_interval=720, split_per_pass=2)
NAMES = ["part-10", "part-2", "ok", "_SUCCESS", ".part-3", "empty", "more/part-0"]


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    filesystem = fsspec.filesystem(request.param)
    inner = str(tmp_path) if request.param == "local" else "/passes"
    for split in ("0000", "1200"):
        for name in NAMES:
            path = f"{inner}/{DAY}/{split}/{name}"
            filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            filesystem.pipe(path, b"" if name == "empty" else b"1")
    yield inner if request.param == "local" else "memory://passes"
    filesystem.rm(inner, recursive=True)


def test_the_files_of_a_pass_are_those_of_its_parts(root: str) -> None:
    """Also where the donefile is waited for on a filesystem that is not local."""
    (part,) = ready_parts(SCHEDULE, root, threading.Event(), data_donefile="ok", folders=PartFolders())
    files = [file.path for file in list_pass(part, "ok")]
    assert [path.partition(DAY)[2] for path in files] == [
        f"/{split}/{name}" for split in ("0000", "1200") for name in ("part-2", "part-10")
    ]
    assert files == [file.path for folder in part.folders for file in part_folder.list_part(folder, "ok")]


def test_what_is_there(root: str, tmp_path: Path) -> None:
    kinds: list[Folders] = [PartFolders(), LocalFolders()] if "://" not in root else [PartFolders()]
    for folders in kinds:
        split = f"{root}/{DAY}/0000"
        assert folders.is_folder(split) and not folders.is_file(split)
        assert folders.is_file(f"{split}/ok") and not folders.is_folder(f"{split}/ok")
        for path in (f"{split}/none", f"{root}/none/ok", f"{split}/ok/below"):
            assert not folders.is_file(path) and not folders.is_folder(path)


@pytest.mark.parametrize("folders", [PartFolders(), LocalFolders()])
def test_links_and_home(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "folder").symlink_to("there")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nothing")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders.is_folder("~/folder") and folders.is_file("~/link")
    assert not folders.is_file(str(tmp_path / "broken")) and not folders.is_folder(str(tmp_path / "broken"))


def test_a_filesystem_that_does_not_say_is_asked_again(
    root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(filesystem: Any, path: str) -> Any:
        raise ConnectionResetError("no answer")

    with monkeypatch.context() as changed:
        changed.setattr(type(part_folder.open_filesystem(root)[0]), "info", broken)
        assert not PartFolders().is_folder(root)
        assert caplog.messages == [f"{root}: cannot be looked at: no answer"]
    assert PartFolders().is_folder(root)


def test_a_filesystem_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="nowhere://data: cannot be opened"):
        ready_parts(SCHEDULE, "nowhere://data", threading.Event(), folders=PartFolders())


def test_a_pass_without_files_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "_SUCCESS").write_bytes(b"1")
    assert list_pass(Part(PassKey(DAY, 2), (str(tmp_path),))) == []
    assert caplog.messages == [f"Day:{DAY}, Pass: 2, no data files in its folders"]
    with pytest.raises(UserError, match="no such folder"):
        list_pass(Part(PassKey(DAY, 2), (str(tmp_path / "none"),)))
