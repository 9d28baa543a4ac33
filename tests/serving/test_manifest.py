"""manifest.json: no byte of it can change unnoticed."""

import json

import pytest

from mindspore_rec.serving.manifest import (
    MANIFEST,
    ExportError,
    ExportManifest,
    FileOf,
    GraphOf,
    Source,
    TableOf,
    read_manifest,
)
from tests.source_tree import REPOSITORY

GRAPH = GraphOf(file="m.mindir", inputs=(("rows", (2, 3)),), outputs=("probability",), slots=("1", "2"))
MANIFEST_OF = ExportManifest(
    layout="native",
    created_by={"mindspore_rec": "0.1.0"},
    source=Source(
        model={"model": "rank/ü", "rate": 1e-7, "sizes": [1, None, True]}, step=7, data_time=1_800_000_000_123
    ),
    graph=GRAPH,
    variables=GRAPH,
    tables={"t": TableOf(columns=(0, 3), slots=("1",), pooling="sum", padding_id=2**64 - 1, rows=1, files=("t-000",))},
    weighted=False,
    dense={"w": "m.mindir"},
    files={"m.mindir": FileOf(size=1, crc32c="00000000"), "t-000": FileOf(size=2, crc32c="0123abcd")},
).sealed()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / MANIFEST).write_bytes(MANIFEST_OF.to_json())
    return tmp_path


def test_it_is_read_as_it_was_written(folder):
    assert read_manifest(folder) == MANIFEST_OF


def test_its_digest_is_that_of_earlier_versions():
    assert MANIFEST_OF.digest == "b5c0d1c179f7a609962e668321c1b18247bb6d06d1e1e02cb4b516572fad3e6e"


def test_the_digest_names_the_content():
    other = MANIFEST_OF.model_copy(update={"weighted": True}).sealed()
    assert other.digest != MANIFEST_OF.digest
    assert other.model_copy(update={"weighted": False}).sealed().digest == MANIFEST_OF.digest


def test_no_byte_can_change(folder):
    content = MANIFEST_OF.to_json()
    for place in range(len(content)):
        for other in (content[place] ^ 1, 0x20):
            changed = content[:place] + bytes([other]) + content[place + 1 :]
            if changed != content:
                (folder / MANIFEST).write_bytes(changed)
                with pytest.raises(ExportError) as error:
                    read_manifest(folder)
                assert "\n" not in str(error.value)
    for size in range(0, len(content), 50):
        (folder / MANIFEST).write_bytes(content[:size])
        with pytest.raises(ExportError):
            read_manifest(folder)


def written(folder, **changed):
    fields = {**json.loads(MANIFEST_OF.to_json()), **changed}
    (folder / MANIFEST).write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format_version": 3}, "has format 3; this version reads up to 2"),
        ({"format": "something else"}, "is no exported model: manifest.json: format: "),
        ({"layout": "other"}, "is no exported model: manifest.json: layout: "),
        ({"more": 1}, "is no exported model: manifest.json: more: "),
        ({"graph": None}, "is no exported model: manifest.json: graph: "),
        ({"weighted": True}, "is damaged: it is not what its digest says"),
    ],
)
def test_another_manifest_is_refused(folder, changed, message):
    written(folder, **changed)
    with pytest.raises(ExportError, match=message):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"graph": GRAPH.model_copy(update={"file": "../m.mindir"})}, "names a file that is not among its files"),
        ({"dense": {"w": "other"}}, "names a file that is not among its files"),
        ({"tables": {"t": MANIFEST_OF.tables["t"].model_copy(update={"files": ("x",)})}}, "names a file that is not"),
        (
            {"tables": {"t": MANIFEST_OF.tables["t"].model_copy(update={"columns": (3, 3)})}},
            "columns 3 to 3 of table t",
        ),
        (
            {"tables": {"t": MANIFEST_OF.tables["t"].model_copy(update={"columns": (0, 4)})}},
            "columns 0 to 4 of table t",
        ),
        ({"tables": {"t": MANIFEST_OF.tables["t"].model_copy(update={"pooling": "min"})}}, "pooling"),
    ],
)
def test_what_does_not_go_together_is_refused(folder, changed, message):
    (folder / MANIFEST).write_bytes(MANIFEST_OF.model_copy(update=changed).sealed().to_json())
    with pytest.raises(ExportError, match=message):
        read_manifest(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"[" * 100_000, b"\xff"])
def test_what_is_none_is_refused(folder, content):
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(ExportError, match="is no exported model"):
        read_manifest(folder)


def test_a_folder_without_one_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ExportError, match="is no exported model: manifest"):
            read_manifest(folder)


def test_the_page_on_exports_names_every_key():
    page = (REPOSITORY / "docs" / "export.md").read_text("utf-8")
    for model, prefix in ((ExportManifest, ""), (Source, "source."), (GraphOf, ""), (TableOf, "")):
        for name in model.model_fields:
            assert f"`{prefix}{name}`" in page or name in ("source", "file"), name
