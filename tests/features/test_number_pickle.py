from __future__ import annotations

import os
import pickle
from collections import OrderedDict, defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.features.errors import FeatureConfigError
from mindspore_rec.features.number_pickle import load_number_dict


def write(folder: Path, data: bytes) -> str:
    path = folder / "values.pkl"
    path.write_bytes(data)
    return str(path)


def load(folder: Path, value: Any, protocol: int = 4) -> Any:
    return load_number_dict("map_dict", write(folder, pickle.dumps(value, protocol)), 1 << 20)


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_of_python_and_numpy(tmp_path: Path, protocol: int) -> None:
    kinds = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.float32, np.float64]
    values: dict[str, Any] = {kind.__name__: kind(7) for kind in kinds}
    values.update({"int": 2**70, "float": 0.1, "half": np.float16(0.5), "推荐": -1, "big": np.array([5], ">i4")[0]})
    read = load(tmp_path, values, protocol)
    assert read == values
    assert {type(value) for value in read.values()} == {int, float}


class Shell:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


class Attribute:
    def __reduce__(self) -> Any:
        return getattr, ("", "join")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Shell(), "posix.system"),
        (Attribute(), "builtins.getattr"),
        ({"a": Shell()}, "posix.system"),
        (defaultdict(int), "collections.defaultdict"),
        (OrderedDict(), "collections.OrderedDict"),
        ({"a": date(2020, 1, 1)}, "datetime.date"),
        ({"a": np.zeros(3)}, "multiarray._reconstruct"),
        ({"a": np.datetime64(1, "s")}, "numpy dtype 'M8'"),
        ({"a": np.str_("x")}, "numpy dtype 'U1'"),
        ({"a": 1j}, "builtins.complex"),
        ({"a": np.bool_(True)}, "numpy dtype 'b1'"),
    ],
)
def test_everything_else_is_refused_by_name(tmp_path: Path, value: Any, named: str) -> None:
    with pytest.raises(FeatureConfigError) as caught:
        load(tmp_path, value)
    message = str(caught.value)
    assert named in message and message.startswith("map_dict: ") and "\n" not in message


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ([1], "holds a list; expected a dict"),
        (7, "holds a int"),
        ({1: 1}, "entry 1 is"),
        ({"a": "b"}, "'a' is a str"),
        ({"a": True}, "'a' is a bool"),
        ({"a": {}}, "'a' is a dict"),
        ({"a": None}, "NoneType"),
    ],
)
def test_other_shapes_are_refused(tmp_path: Path, value: Any, named: str) -> None:
    with pytest.raises(FeatureConfigError, match=r"^map_dict: ") as caught:
        load(tmp_path, value)
    assert named in str(caught.value)


def test_object_dtype_is_refused(tmp_path: Path) -> None:
    class Fake:
        def __reduce__(self) -> Any:
            return np.dtype, ("O8",)

    with pytest.raises(FeatureConfigError, match="numpy dtype 'O8'"):
        load(tmp_path, Fake())


@pytest.mark.parametrize("named", ["numpy\ndtype", "numpy.core.multiarray\nscalar", "_codecs\nencode"])
@pytest.mark.parametrize("attribute", [b"__call__", b"__doc__", b"_name", b"x"])
def test_a_pickle_cannot_change_what_it_names(tmp_path: Path, named: str, attribute: bytes) -> None:
    state = b"(N}(X" + len(attribute).to_bytes(4, "little") + attribute + b"K\x01ut"
    data = b"\x80\x04c" + named.encode() + b"\n" + state + b"b0}."
    with pytest.raises(FeatureConfigError, match=r"^map_dict: "):
        load_number_dict("map_dict", write(tmp_path, data), 100)
    assert load(tmp_path, {"a": np.float32(2)}, 2) == {"a": 2.0}


def test_missing_large_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FeatureConfigError, match=r"^min_dict: .*absent\.pkl, no such file"):
        load_number_dict("min_dict", str(tmp_path / "absent.pkl"), 100)
    with pytest.raises(FeatureConfigError, match="no such file"):
        load_number_dict("min_dict", str(tmp_path), 100)
    with pytest.raises(FeatureConfigError, match="101 bytes; expected at most 100"):
        load_number_dict("min_dict", write(tmp_path, bytes(101)), 100)


@given(data=st.binary(max_size=60) | st.integers(0, 60).map(lambda n: pickle.dumps({"a": 1, "b": np.float32(2)})[:n]))
def test_any_bytes_give_numbers_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp(), data)
    message, read = "", {}
    try:
        read = load_number_dict("map_dict", path, 1 << 20)
    except FeatureConfigError as error:
        message = str(error)
    assert "\n" not in message
    assert all(type(value) in (int, float) for value in read.values())
