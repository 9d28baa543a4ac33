"""What a .meta file says, and what of it is refused."""

import json

import pytest

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.sparse_meta import Shard, columns_of, meta_of, names_of, read_meta, shard_file
from tests.checkpoint.table_rows_examples import SLOTS, random_rows

ROWS = random_rows(1, 5, slots=SLOTS["before"])
SHARDS = [Shard(file=shard_file("deep", rank), rows=3 * rank, bytes=100, crc32c="0123abcd") for rank in (0, 2, 1000)]


@pytest.fixture
def content(tmp_path):
    """What the file has, and a folder it is in."""
    meta = meta_of("deep", ROWS, SHARDS)
    (tmp_path / "deep.meta").write_bytes(meta.to_json())
    assert read_meta(tmp_path, "deep") == meta
    return json.loads(meta.to_json())


def failure(folder, content, name="deep"):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / f"{name}.meta").write_text(text)
    with pytest.raises(CheckpointError) as error:
        read_meta(folder, name)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{folder / name}.meta")
    return str(error.value)[len(f"{folder / name}.meta") :]


def test_it_says_what_the_columns_are(content):
    assert content["format_version"] == 1
    assert content["slots"] == [["delta_score", 1], ["z", 3], ["n", 3]]
    assert [(column["name"], column["width"]) for column in content["columns"]] == [
        *((name, 1) for name in ("id", "unseen_days", "delta_score", "show", "click")),
        *((name, 3) for name in ("weight", "z", "n")),
    ]
    assert all(column["meaning"] for column in content["columns"])
    assert (content["rows"], content["shards"]) == (3006, 3)
    assert [shard["file"] for shard in content["files"]] == ["deep-000.txt", "deep-002.txt", "deep-1000.txt"]
    assert names_of(columns_of(2, [("m", 2), ("g2sum", 1)]))[5:] == ["weight_0", "weight_1", "m_0", "m_1", "g2sum"]
    assert names_of(columns_of(1, []))[5:] == ["weight"]


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("format_version", 2, " has format 2; this version reads 1"),
        ("format_version", "1", ": format_version: Input should be a valid integer"),
        ("table", "wide", ": table: expected 'deep'"),
        ("dim", 4, ": columns: expected those of dim and slots"),
        ("dim", 0, ": dim: Input should be greater than or equal to 1"),
        ("dim", 2**40, ": dim: Input should be less than or equal to 65536"),
        ("dim", 65_536, ": columns: expected those of dim and slots"),
        ("slots", [["z", 3], ["n", 3]], None),
        ("slots", [["n", 3], ["z", 3]], ": columns: expected those of dim and slots"),
        ("slots", [["n", 3], ["n", 3]], ": slots: expected each slot once"),
        ("slots", [["delta_score", 2]], ": slots: expected one delta_score a row"),
        ("columns", [], ": columns: expected those of dim and slots"),
        ("rows", 3007, ": rows: expected those of all files"),
        ("rows", -1, ": rows: Input should be greater than or equal to 0"),
        ("shards", 2, ": shards: expected as many as there are files"),
        ("files", [], ": shards: expected as many as there are files"),
        ("other", 1, ": other: Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, content, key, value, what):
    content[key] = value
    if what is None:
        (tmp_path / "deep.meta").write_text(json.dumps(content))
        assert read_meta(tmp_path, "deep").slots == [("z", 3), ("n", 3)]
    else:
        assert failure(tmp_path, content) == what


@pytest.mark.parametrize(
    "file", ["../deep-000.txt", "deep-00.txt", "wide-000.txt", "deep-000", "deep-002.txt", "deep-0000000.txt", "/etc/x"]
)
def test_only_files_of_the_table(tmp_path, content, file):
    content["files"][0]["file"] = file
    assert failure(tmp_path, content) == ": files: expected names of shards, each once"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", ": Invalid JSON: EOF while parsing a value at line 1 column 0"),
        ("{", ": Invalid JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", ": Input should be an object"),
        ("{}", ": format_version: Field required"),
        (" " * (1 << 20) + "{}", " is larger than 1048576 bytes"),
    ],
)
def test_what_is_no_object_of_these_keys(tmp_path, content, text, what):
    assert failure(tmp_path, text) == what


def test_a_file_cut_anywhere(tmp_path, content):
    text = json.dumps(content)
    for size in range(0, len(text), 11):
        assert failure(tmp_path, text[:size])


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.meta cannot be read: No such file or directory$"):
        read_meta(tmp_path, "none")


@pytest.mark.parametrize("name", ["", "../deep", "a/b", ".deep", "tief ", "ü", "a\n"])
def test_names_that_no_file_can_have(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"^table .* cannot be saved as text: expected a name of letters"):
        read_meta(tmp_path, name)
    with pytest.raises(CheckpointError, match=r"^table .* cannot be saved as text: expected a name of letters"):
        meta_of(name, ROWS, SHARDS)


def test_too_many_columns(tmp_path, content):
    assert meta_of("deep", random_rows(1, 1, dim=65_531), SHARDS).dim == 65_531
    with pytest.raises(CheckpointError, match=r"^table 'deep' has 65537 columns: expected at most 65536 as text$"):
        meta_of("deep", random_rows(1, 1, dim=65_531, slots={"g2sum": 1}), SHARDS)
    content["dim"], content["columns"][5]["width"] = 65_536, 65_536
    assert failure(tmp_path, content) == ": columns: expected at most 65536"
