"""What dumps hold, read back, and compared with what numpy finds for the rows their ids name."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np

from mindspore_rec.data.slot_rows import SlotRows
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.data.slot_text import SlotTextParser
from mindspore_rec.models.slot_network import SlotNetwork
from tests.train.dumped_model import computed

Line = Tuple[str, Dict[str, List[float]]]
"""The id of a row, and its numbers by field."""


def read(path: Path) -> List[Line]:
    """The lines of a file of rows."""
    found = []
    for line in path.read_text().splitlines():
        id, *fields = line.split("\t")
        values = {}
        for field in fields:
            name, size, *numbers = field.split(":")
            assert len(numbers) == int(size)
            values[name] = [float(number) for number in numbers]
        found.append((id, values))
    return found


def params_of(folder: Path) -> Dict[str, np.ndarray]:
    """Dense parameters in the folder of a pass."""
    found = {}
    for line in (folder / "params").read_text().splitlines():
        name, size, *numbers = line.split(":")
        found[name] = np.array(numbers, np.float64).astype(np.float32)
        assert len(numbers) == int(size)
    return found


def rows_of(schema: SlotSchema, data: Path, id: str) -> SlotRows:
    """The row that an id names, read from its file."""
    name, _, number = id.rpartition(":")
    lines = [line for line in (data / name).read_text().splitlines() if line]
    assert lines[int(number)] != "no row"
    return SlotTextParser(schema, True).parse(f"{lines[int(number)]}\n".encode()).rows


def assert_computed(schema: SlotSchema, data: Path, lines: List[Line], network: SlotNetwork) -> None:
    """That each row has the values that numpy finds for it with the network as it is."""
    for id, values in lines:
        row = rows_of(schema, data, id)
        wanted = {"label": row.labels, **computed(network, row)}
        for name, numbers in values.items():
            np.testing.assert_allclose(numbers, wanted[name].reshape(-1), rtol=1e-4, atol=1e-6, err_msg=f"{id} {name}")
