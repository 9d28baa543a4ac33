"""Compare an exported model with the network it was made of, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List

import numpy as np

from mindspore_rec.serving.data_rows import NetworkRows, fed
from mindspore_rec.serving.exported_model import ExportedModel
from mindspore_rec.serving.packed_network import AllVariables
from mindspore_rec.serving.trained_model import TrainedModel
from mindspore_rec.train.eval_step import PredictStep

TOLERANCE = 1e-6


@dataclass
class VariableDifference:
    """How far a variable of an export is from that of the network.

    Attributes:
        name: of the variable.
        rows: compared.
        largest: absolute difference of two values; inf where one is no number.
        differing: rows with a value that is farther off than `TOLERANCE`, of values beyond 1 than that share of them.
    """

    name: str
    rows: int = 0
    largest: float = 0.0
    differing: int = 0

    def add(self, expected: np.ndarray, found: np.ndarray) -> None:
        """Compare float32 [n, ...] of n rows.

        >>> difference = VariableDifference("logit")
        >>> difference.add(np.zeros((2, 1)), np.array([[0.0], [0.5]]))
        >>> difference
        VariableDifference(name='logit', rows=2, largest=0.5, differing=1)
        """
        rows = expected.shape[0]
        one, other = (array.reshape(rows, -1).astype(np.float64) for array in (expected, found))
        numbers = np.isfinite(one) & np.isfinite(other)
        distances = np.full(one.shape, np.inf)
        distances[numbers] = np.abs(one[numbers] - other[numbers])
        far = ~numbers | (distances > TOLERANCE * np.maximum(1.0, np.abs(one)))
        self.rows += rows
        self.largest = max(self.largest, float(distances.max(initial=0.0)))
        self.differing += int(far.any(axis=1).sum())


def compare(exported: ExportedModel, trained: TrainedModel, batches: Iterable[NetworkRows]) -> List[VariableDifference]:
    """Return the difference of each variable of the network, over all rows.

    Those that the graph answers requests with are taken from it, others from the graph of all variables.

    Args:
        exported: the export.
        trained: the network with the state it was made of.
        batches: what the network is given.
    """
    manifest = exported.manifest
    cell = AllVariables(trained.network)
    cell.set_train(False)
    step = PredictStep(cell)
    found = {name: VariableDifference(name) for name in cell.names}
    for batch in batches:
        given = [part for part in batch if part is not None]
        expected: Dict[str, np.ndarray] = {name: part.asnumpy() for name, part in zip(cell.names, step(*given))}
        values = {**exported.variables(*batch), **exported.predict(*fed(batch, manifest))}
        for name, difference in found.items():
            difference.add(expected[name], values[name])
    return list(found.values())
