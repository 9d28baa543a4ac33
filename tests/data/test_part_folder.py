"""Which files of a folder are read, in which order, on local and other filesystems."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Iterator

import fsspec
import pytest

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.data import part_folder
from mindspore_rec.data.part_folder import list_part, open_part_file

NAMES = [
    "part-10",
    "part-2",
    "part-02",
    "a.gz",
    ".hidden",
    "_SUCCESS",
    "empty",
    "done",
    "part-1/inner",
    "part-3.parquet",
]
READ = ["a.gz", "part-02", "part-2", "part-3.parquet", "part-10"]


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    filesystem = fsspec.filesystem(request.param)
    root = str(tmp_path) if request.param == "local" else "/20190720/0005"
    for name in NAMES:
        filesystem.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        filesystem.pipe(f"{root}/{name}", b"" if name == "empty" else name.encode())
    yield root if request.param == "local" else f"memory:/{root}"
    filesystem.rm(root, recursive=True)


def test_files_come_in_the_order_of_their_names(folder: str) -> None:
    for donefile, names in (("done", READ), ("", [READ[0], "done", *READ[1:]])):
        files = list_part(folder, donefile)
        assert [file.path.rpartition("/")[2] for file in files] == names
        assert [file.size for file in files] == [len(name) for name in names]
        for file, name in zip(files, names):
            assert file.path.startswith(folder if "://" not in folder else "memory://")
            with open_part_file(file.path) as opened:
                assert opened.read() == name.encode()


def test_a_file_that_appears_is_seen(folder: str) -> None:
    before = len(list_part(folder))
    filesystem, inner = part_folder.open_filesystem(folder)
    filesystem.pipe(f"{inner}/late", b"1")
    assert len(list_part(folder)) == before + 1


def test_a_listing_is_never_an_old_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The local and the in-memory filesystem remember none, others do."""
    filesystem, _ = part_folder.open_filesystem(str(tmp_path))
    forgotten = []
    monkeypatch.setattr(type(filesystem), "invalidate_cache", lambda self, path=None: forgotten.append(path))
    list_part(str(tmp_path))
    assert forgotten == [str(tmp_path)]
    part_folder.path_kind(str(tmp_path / "ok"))
    assert forgotten == [str(tmp_path), None]


def test_links_to_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "there").write_bytes(b"12")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "there")
    (file,) = list_part(str(tmp_path / "data"))
    assert file.size == 2
    with open_part_file(file.path) as opened:
        assert opened.read() == b"12"


def test_links_to_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "there")
    (tmp_path / "data" / "part-0").write_bytes(b"1")
    assert list_part(str(tmp_path / "data")) == [(str(tmp_path / "data" / "part-0"), 1)]


@pytest.mark.parametrize("name", ["a::b", "file:x", "data:,x", "memory:x"])
def test_a_local_path_is_local_whatever_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "part::1").write_bytes(b"12")
    monkeypatch.chdir(tmp_path)
    for folder in (name, str(tmp_path / name), f"{name}/"):
        (file,) = list_part(folder)
        assert file == (str(tmp_path / name / "part::1"), 2)
        with open_part_file(file.path) as opened:
            assert opened.read() == b"12"
    with open_part_file(f"{name}/part::1") as opened:
        assert opened.read() == b"12"


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "part-0").write_bytes(b"1")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [file.path for file in list_part("~")] == [str(tmp_path / "part-0")]


def test_an_empty_path_is_none() -> None:
    for call in (list_part, open_part_file):
        with pytest.raises(ConfigError, match="path of the data is empty"):
            call("")


def test_nothing_there(tmp_path: Path) -> None:
    assert list_part(str(tmp_path)) == []
    (tmp_path / "file").write_bytes(b"1")
    for path in (str(tmp_path / "absent"), str(tmp_path / "file"), "memory://absent"):
        with pytest.raises(UserError, match="no such folder") as caught:
            list_part(path)
        assert path in str(caught.value)
    for path in (str(tmp_path / "absent"), "memory://absent/file"):
        with pytest.raises(UserError, match=r"absent.*no such file"):
            open_part_file(path)
    with pytest.raises(UserError, match="cannot be read"):
        open_part_file(str(tmp_path))


def test_filesystems_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="nowhere://data: cannot be opened") as caught:
        list_part("nowhere://data")
    assert "\n" not in str(caught.value)

    def missing(path: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(ConfigError, match="Install s3fs"):
        open_part_file("s3://bucket/file")


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    "path",
    [
        "hdfs://nosuch:1/x",
        "ftp://127.0.0.1:{port}/x",
        "data://x",
        "reference://x",
        "filecache://x",
        "zip://a::memory://b",
    ],
)
def test_filesystems_that_cannot_be_opened_are_one_line(path: str) -> None:
    path = path.format(port=_closed_port())
    for call in (list_part, open_part_file):
        with pytest.raises(UserError) as caught:
            call(path)
        assert str(caught.value).startswith(path) and "\n" not in str(caught.value)


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_folder, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / str(number)).write_bytes(b"1")
    with pytest.raises(UserError, match="4 files, expected at most 3"):
        list_part(str(tmp_path))
