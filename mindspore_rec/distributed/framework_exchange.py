"""The exchange of ranks under MindSpore's dynamic networking."""

from __future__ import annotations

from mindspore_rec.distributed.exchange import Alone, ExchangeError


class FrameworkExchange(Alone):
    """Not there yet."""

    def __init__(self) -> None:
        raise ExchangeError("dynamic networking is not supported yet: start the ranks with mpirun")


def run_scheduler() -> None:
    """Not there yet."""
    raise ExchangeError("dynamic networking is not supported yet: start the ranks with mpirun")
