"""What a YAML file of keys may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from mindspore_rec.cli.yaml_file import MAX_BYTES, read_mapping
from mindspore_rec.config import ConfigError


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", {}),
        (b"# only a comment\n", {}),
        (b"\xef\xbb\xbfa: 1\n", {"a": 1}),
        (b"a: [1, 2]\nb: {c: d}\n", {"a": [1, 2], "b": {"c": "d"}}),
        (b"start: 2024-05-01\n", {"start": "2024-05-01"}),
        (b"a: [18446744073709551615, -9223372036854775808]\n", {"a": [2**64 - 1, -(2**63)]}),
        (b"2024-05-01: 1\n0x10: .5\ntrue: null\n", {"2024-05-01": 1, "16": 0.5, "True": None}),
        (b"a: {b: [2024-05-01, {c: 2024-05-01}]}\n", {"a": {"b": ["2024-05-01", {"c": "2024-05-01"}]}}),
        (b"start: 2024-05-01T10:00:00Z\n", {"start": "2024-05-01T10:00:00+00:00"}),
    ],
)
def test_a_mapping_is_read(content: bytes, expected: object, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert read_mapping(path) == expected


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"- 1\n- 2\n", "expected one mapping"),
        (b"text", "expected one mapping"),
        (b"a: 1\nb: [1\n", "not valid YAML in line"),
        (b"a: 1\n---\nb: 1\n", "not valid YAML"),
        (b"a: 1\na: 2\n", "key 'a' is given twice"),
        (b"a: {b: 1, b: 2}\n", "key 'b' is given twice"),
        (b"a: [{b: [{c: 1, c: 1}]}]\n", "key 'c' is given twice"),
        (b"a: &x [1]\nb: *x\n", "aliases"),
        (b"a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        (b"? [a]\n: 1\n", "not valid YAML"),
        (b"a: \xff\n", "not UTF-8"),
        (b"a: \x00\n", "not valid YAML"),
        (b"a: 2024-99-99\n", "not valid YAML"),
        (b"a: !!int ''\n", "not valid YAML"),
        (b"a: !!bool x\n", "not valid YAML"),
        (b"a: !!timestamp x\n", "not valid YAML"),
        (b"a: " + b"1:" * 400 + b"1.0\n", "not valid YAML"),
        (b"a: 0x" + b"F" * 6000, "a whole number of more than 64 bits"),
        (b"a: [{b: -9223372036854775809}]\n", "a whole number of more than 64 bits"),
        (b"18446744073709551616: a\n", "a whole number of more than 64 bits"),
        (b"a: " + b"1:" * 400 + b"1\n", "a whole number of more than 64 bits"),
        (b"a: !!set {1, 2}\n", "has a set; expected mappings, lists, text and numbers"),
        (b"a: !!pairs [1: 2]\n", "has a tuple"),
        (b"[" * 5000, "nested more than"),
        (b"- " * 5000 + b"a", "nested more than"),
        (b"a: " + b"1" * MAX_BYTES, "at most"),
    ],
)
def test_anything_else_is_refused(content: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=part) as error:
        read_mapping(path)
    assert str(path) in str(error.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_mapping(tmp_path)
