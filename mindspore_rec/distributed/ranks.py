"""Which rank of a job this process is, and who launched it: read from the environment alone, nothing is started.

================  =================================================  ==========================================
launcher          variables                                          exchange
================  =================================================  ==========================================
mpirun            OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE (Open   `MpiExchange`
                  MPI) or PMI_RANK, PMI_SIZE (MPICH and its kin)
dynamic           MS_ROLE, MS_WORKER_NUM, MS_NODE_ID, MS_SCHED_HOST  `FrameworkExchange`
                  and MS_SCHED_PORT, as ``msrun`` sets them
alone             none of them                                       `Alone`
================  =================================================  ==========================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, Mapping, Optional, Tuple

from mindspore_rec.config import ConfigError
from mindspore_rec.distributed.exchange import Alone, Exchange
from mindspore_rec.distributed.kept_memory import keep_memory

Launcher = Literal["alone", "mpirun", "dynamic"]

MPI_VARIABLES = (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"))
MAX_RANKS = 1 << 16


@dataclass(frozen=True)
class Ranks:
    """This process among those of its job.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        launcher: who started them.
    """

    rank: int = 0
    size: int = 1
    launcher: Launcher = "alone"

    @classmethod
    def of_environment(cls, environ: Optional[Mapping[str, str]] = None) -> Ranks:
        """What the launcher's variables say.

        Args:
            environ: the variables; default: those of this process.

        Raises:
            ConfigError: one is missing, no number, out of range, or contradicts another.

        >>> Ranks.of_environment({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"})
        Ranks(rank=1, size=4, launcher='mpirun')
        """
        environ = os.environ if environ is None else environ
        found = [pair for pair in MPI_VARIABLES if any(name in environ for name in pair)]
        dynamic = bool(environ.get("MS_ROLE"))
        if found and dynamic:
            raise ConfigError(
                f"MS_ROLE: {environ['MS_ROLE']} under mpirun, which sets {found[0][0]}: unset one of them"
            )
        if dynamic:
            return _of_dynamic_networking(environ)
        if found:
            rank, size = _rank_and_size(environ, *found[0])
            return cls(rank, size, "mpirun")
        return cls()


def is_scheduler(environ: Optional[Mapping[str, str]] = None) -> bool:
    """Whether this process is the scheduler of dynamic networking: no rank, see `run_scheduler`."""
    return (os.environ if environ is None else environ).get("MS_ROLE") == "MS_SCHED"


def open_exchange(ranks: Ranks) -> Exchange:
    """Meet the other ranks. The process keeps freed memory from then on, see `keep_memory`.

    Raises:
        ConfigError: the launcher's library is not installed, or counts the ranks otherwise.
        ExchangeError: the others did not come.
    """
    if ranks.launcher == "alone":
        return Alone()
    keep_memory()
    exchange = _open(ranks)
    if (exchange.rank, exchange.size) != (ranks.rank, ranks.size):
        name = "OMPI_COMM_WORLD_RANK or PMI_RANK" if ranks.launcher == "mpirun" else "MS_NODE_ID"
        hint = "; MPI4PY_LIBMPI names the libmpi of that mpirun" if ranks.launcher == "mpirun" else ""
        raise ConfigError(
            f"{name}: the launcher says rank {ranks.rank} of {ranks.size}, "
            f"its library rank {exchange.rank} of {exchange.size}{hint}"
        )
    return exchange


def _open(ranks: Ranks) -> Exchange:
    if ranks.launcher == "dynamic":
        from mindspore_rec.distributed.framework_exchange import FrameworkExchange

        return FrameworkExchange()
    from mindspore_rec.distributed.mpi_exchange import MpiExchange

    try:
        return MpiExchange()
    except ImportError as error:
        raise ConfigError(f"mpirun: mpi4py is missing: install the extra [mpi] ({error})") from error


def _of_dynamic_networking(environ: Mapping[str, str]) -> Ranks:
    role = environ["MS_ROLE"]
    if role != "MS_WORKER":
        expected = "MS_WORKER; the scheduler is no rank" if role == "MS_SCHED" else "MS_WORKER or MS_SCHED"
        raise ConfigError(f"MS_ROLE: expected {expected}, not {role!r}")
    if not environ.get("MS_SCHED_HOST"):
        raise ConfigError("MS_SCHED_HOST: expected the scheduler's address, it is not set")
    _number(environ, "MS_SCHED_PORT", 1, 65535)
    if "MS_NODE_ID" not in environ:  # then the scheduler would number the ranks as they come
        raise ConfigError("MS_NODE_ID: expected the rank of this process, it is not set (msrun needs --node_rank)")
    rank, size = _rank_and_size(environ, "MS_NODE_ID", "MS_WORKER_NUM")
    if _number(environ, "RANK_ID", 0, size - 1, rank) != rank:
        raise ConfigError(f"RANK_ID: {environ['RANK_ID']} contradicts MS_NODE_ID, {rank}")
    return Ranks(rank, size, "dynamic")


def _rank_and_size(environ: Mapping[str, str], rank_name: str, size_name: str) -> Tuple[int, int]:
    size = _number(environ, size_name, 1, MAX_RANKS)
    rank = _number(environ, rank_name, 0, MAX_RANKS)
    if rank >= size:
        raise ConfigError(f"{rank_name}: expected less than {size_name}, {size}, not {rank}")
    return rank, size


def _number(environ: Mapping[str, str], name: str, least: int, most: int, default: Optional[int] = None) -> int:
    text = environ.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        found = "it is not set" if text is None else f"not {text!r}"
        raise ConfigError(f"{name}: expected a whole number from {least} to {most}, {found}")
    return int(text)
