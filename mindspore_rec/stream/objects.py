"""Objects of arrays on the channel: split evenly over the shards, put together again in the same structure.

An object is an ndarray, a tuple, list or dict of ndarrays, or a pandas DataFrame of numeric columns. Rows are the
first axis.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from mindspore_rec.stream.frame import DTYPES, Array, FrameError

Structure = Dict[str, Any]
Flat = Tuple[Structure, List[Array]]


def split(obj: Any, num_shards: int) -> List[Flat]:
    """The parts of ``obj`` for shards 0, 1, ...: consecutive rows, as many for each.

    Raises:
        ValueError: where the rows do not divide evenly, or the object is of another kind.

    Examples:
        >>> [arrays[0].tolist() for _, arrays in split(np.arange(4), 2)]
        [[0, 1], [2, 3]]
    """
    structure, arrays = _flatten(obj)
    rows = _rows(arrays)
    if rows % num_shards:
        raise ValueError(f"{rows} rows do not divide evenly over {num_shards} shards")
    size = rows // num_shards
    return [(structure, [a[shard * size : (shard + 1) * size] for a in arrays]) for shard in range(num_shards)]


def join(structure: Any, arrays: Sequence[Array]) -> Any:
    """The object that ``split`` took apart.

    Raises:
        FrameError: where structure and arrays do not fit.
    """
    fields = structure if isinstance(structure, dict) else {}
    kind, names = fields.get("kind"), fields.get("names", [])
    if not isinstance(kind, str) or not isinstance(names, list):
        raise FrameError(f"an object described as {str(structure)[:100]}")
    counts = {"array": 1, "tuple": len(arrays), "list": len(arrays), "dict": len(names), "frame": len(names) + 1}
    if counts.get(kind) != len(arrays):
        raise FrameError(f"{len(arrays)} arrays for an object described as {str(structure)[:100]}")
    if kind == "array":
        return arrays[0]
    if kind == "tuple":
        return tuple(arrays)
    if kind == "list":
        return list(arrays)
    if kind == "dict":
        return dict(zip(names, arrays))
    import pandas as pd

    frame = pd.DataFrame(dict(enumerate(arrays[1:])), index=arrays[0])
    frame.columns = pd.Index(names)
    return frame


def _flatten(obj: Any) -> Flat:
    if isinstance(obj, np.ndarray):
        return {"kind": "array"}, [_array(obj)]
    if isinstance(obj, (tuple, list)):
        return {"kind": "tuple" if isinstance(obj, tuple) else "list"}, [_array(item) for item in obj]
    if isinstance(obj, dict):
        return {"kind": "dict", "names": _names(obj)}, [_array(item) for item in obj.values()]
    if type(obj).__name__ == "DataFrame" and type(obj).__module__.split(".")[0] == "pandas":
        columns = [_array(obj.iloc[:, position].to_numpy()) for position in range(obj.shape[1])]
        return {"kind": "frame", "names": _names(obj.columns)}, [_array(obj.index.to_numpy()), *columns]
    raise ValueError(
        f"cannot send a {type(obj).__name__}: expected an ndarray, a tuple, list or dict of ndarrays, or a DataFrame"
    )


def _array(item: Any) -> Array:
    if not isinstance(item, np.ndarray) or item.ndim == 0:
        raise ValueError(f"cannot send a {type(item).__name__}: expected an ndarray with rows")
    if item.dtype.newbyteorder("<").str not in DTYPES:
        raise ValueError(f"cannot send dtype {item.dtype}: expected numbers or bool")
    return item.astype(item.dtype.newbyteorder("<"), copy=False)


def _names(names: Any) -> List[Any]:
    found = [name.item() if isinstance(name, np.generic) else name for name in names]
    if not all(type(name) in (str, int) for name in found):
        raise ValueError(f"names must be strings or whole numbers, got {found}")
    return found


def _rows(arrays: Sequence[Array]) -> int:
    rows = {array.shape[0] for array in arrays}
    if len(rows) != 1:
        raise ValueError(f"expected arrays with one number of rows, got {sorted(rows)}")
    return int(rows.pop())
