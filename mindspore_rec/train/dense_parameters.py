"""The dense parameters of a network or a training step, taken from a checkpoint."""

from __future__ import annotations

from typing import List

from mindspore import Parameter, Tensor, nn

from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint

STAMP = "table_stamp"  # ends the names of parameters that say which table belongs to a framework checkpoint


def dense_parameters(cell: nn.Cell) -> List[Parameter]:
    """The parameters of a cell but the stamps of tables."""
    return [parameter for parameter in cell.get_parameters() if not parameter.name.endswith(STAMP)]


def restore_parameters(cell: nn.Cell, checkpoint: Checkpoint) -> None:
    """Give the dense parameters of a cell the values of a checkpoint.

    Raises:
        CheckpointError: one is missing or has another shape; the message names it.
    """
    dense = checkpoint.groups.get("dense", {})
    for parameter in dense_parameters(cell):
        saved = dense.get(parameter.name)
        if saved is None or saved.shape != tuple(parameter.shape):
            found = "nothing" if saved is None else f"shape {saved.shape}"
            raise CheckpointError(
                f"checkpoint {checkpoint.path} does not fit: parameter {parameter.name} needs shape "
                f"{tuple(parameter.shape)}, it has {found}"
            )
        parameter.set_data(Tensor(saved, dtype=parameter.dtype))
