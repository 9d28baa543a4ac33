"""Folders that are there whole or not at all, and never instead of something else."""

import pytest

from mindspore_rec.config import UserError
from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.serving.manifest import MANIFEST, ExportError, FileOf
from mindspore_rec.serving.publishing import Publication, Written, together
from tests.distributed.thread_exchange import run_ranks
from tests.serving.test_manifest import MANIFEST_OF


def published(folder, text):
    publication = Publication(folder)
    publication.begin()
    (publication.writing / MANIFEST).write_bytes(MANIFEST_OF.to_json())
    (publication.writing / text).touch()
    return publication


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_it_is_there_when_it_is_whole(tmp_path):
    publication = published(tmp_path / "a" / "model", "one")
    assert not (tmp_path / "a" / "model").exists()
    publication.publish()
    assert names(tmp_path / "a") == ["model"]
    assert names(tmp_path / "a" / "model") == [MANIFEST, "one"]


def test_another_export_is_replaced(tmp_path):
    published(tmp_path / "model", "one").publish()
    published(tmp_path / "model", "two").publish()
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == [MANIFEST, "two"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "model").mkdir()
    published(tmp_path / "model", "one").publish()
    assert "one" in names(tmp_path / "model")


@pytest.mark.parametrize("what", ["file", "other", "checkpoint"])
def test_nothing_else_is_replaced(tmp_path, what):
    if what == "file":
        (tmp_path / "model").touch()
    else:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / (MANIFEST if what == "checkpoint" else "other")).write_text('{"format_version": 4}')
    with pytest.raises(ExportError, match="model is there, and is no exported model to replace"):
        published(tmp_path / "model", "one")
    assert names(tmp_path) == ["model"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    published(tmp_path / "model", "one")
    published(tmp_path / "model", "two").publish()
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == [MANIFEST, "two"]


def test_an_end_between_two_renames_loses_nothing(tmp_path):
    published(tmp_path / "model", "one").publish()
    published(tmp_path / "model", "two")
    (tmp_path / "model").rename(tmp_path / ".removing-model")
    published(tmp_path / "model", "three")
    assert names(tmp_path / "model") == [MANIFEST, "one"]


WRITTEN = Written(files={"a": FileOf(size=1, crc32c="00000000")}, rows={"t": 2}, dense={"w": "a"})


def test_ranks_are_told_of_each_other():
    found = run_ranks(3, lambda exchange: together(exchange, lambda: Written(rows={"t": exchange.rank})))
    assert [[part.rows["t"] for part in parts] for parts in found] == [[0, 1, 2]] * 3
    assert together(Alone(), lambda: WRITTEN) == [WRITTEN]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), UserError("not this")])
def test_all_ranks_fail_where_one_does(error):
    def run(exchange):
        def work():
            if exchange.rank == 1:
                raise error
            return WRITTEN

        with pytest.raises(ExportError, match=r"rank 1: .*(No space left|not this)"):
            together(exchange, work)
        return True

    assert run_ranks(2, run) == [True, True]
    with pytest.raises(type(error)):
        together(Alone(), lambda: (_ for _ in ()).throw(error))
