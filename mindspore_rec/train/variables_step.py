"""The variables of a slot network by name: of a batch that is predicted, and of each that is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
from mindspore import Tensor, nn

from mindspore_rec.distributed.exchange import Exchange
from mindspore_rec.models.slot_network import LOGIT, SlotNetwork
from mindspore_rec.train.blocks import BatchBlocks
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.host_step import GraphCell, MaskedLoss, hide


@dataclass(frozen=True)
class Watch:
    """Somebody who looks at the variables of what is trained.

    Attributes:
        names: among `all_vars` of the network.
        tell: told of each batch with rows before it is trained, also of one that is skipped: float32[rows, ...] for
            each name, of this rank's rows.
    """

    names: Sequence[str]
    tell: Callable[[List[np.ndarray]], None]


class Variables(GraphCell):
    """The chosen variables of a network; of what the others alone need, compilation leaves nothing.

    Inputs and outputs as of `SlotNetwork.variables`, the outputs in the order of `names`.
    """

    def __init__(self, network: SlotNetwork, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.places = tuple(network.all_vars.index(name) for name in names)

    def construct(self, *inputs: Tensor) -> Tuple[Tensor, ...]:
        """Return the variables of a batch."""
        found = self.network.variables(*inputs)
        return tuple([found[place] for place in self.places])


class VariablesStep(PredictStep):
    """`step(*inputs)` returns the variables that `names` names, each float32[rows, ...]; no table is touched.

    Args:
        network: the network.
        names: among its `all_vars`.
        exchange, owners, rows: as of `PredictStep`.
    """

    def __init__(
        self,
        network: SlotNetwork,
        names: Sequence[str],
        exchange: Optional[Exchange] = None,
        owners: Sequence[int] = (),
        rows: int = 0,
    ) -> None:
        super().__init__(network, exchange, owners, rows)
        hide(self, "_names", tuple(names))

    def graph(self, blocks: BatchBlocks) -> GraphCell:
        """Return the variables."""
        return Variables(self.network, self._names)


class WatchedLoss(MaskedLoss):
    """Masked mean loss, logits, and behind them the variables that `names` names."""

    def __init__(self, network: SlotNetwork, loss_fn: Optional[nn.Cell], names: Sequence[str]) -> None:
        super().__init__(network, loss_fn)
        self.variables = Variables(network, (LOGIT, *names))

    def construct(self, label: Tensor, mask: Tensor, *inputs: Tensor) -> Tuple[Tensor, ...]:
        found = self.variables(*inputs)
        return (self.of_logits(found[0], label, mask), *found)
