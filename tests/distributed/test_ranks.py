"""The launchers' variables: who this process is, and one line that names the wrong one."""

from __future__ import annotations

import subprocess
import sys
from typing import Dict

import numpy as np
import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.distributed.exchange import Alone
from mindspore_rec.distributed.ranks import Ranks, is_scheduler, open_exchange

MPIRUN = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3"}
MPICH = {"PMI_RANK": "0", "PMI_SIZE": "2"}
WORKER = {
    **{"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "3", "MS_NODE_ID": "1", "RANK_ID": "1"},
    **{"MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": "8118"},
}


def without(environ: Dict[str, str], *names: str) -> Dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Ranks(0, 1, "alone")),
        ({"MS_WORKER_NUM": "3", "HOME": "x"}, Ranks(0, 1, "alone")),
        (MPIRUN, Ranks(2, 3, "mpirun")),
        (MPICH, Ranks(0, 2, "mpirun")),
        ({**MPICH, **MPIRUN}, Ranks(2, 3, "mpirun")),
        (WORKER, Ranks(1, 3, "dynamic")),
        (without(WORKER, "RANK_ID"), Ranks(1, 3, "dynamic")),
    ],
)
def test_the_variables_tell_rank_size_and_launcher(environ: Dict[str, str], expected: Ranks) -> None:
    assert Ranks.of_environment(environ) == expected


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({**MPIRUN, "OMPI_COMM_WORLD_RANK": "3"}, "OMPI_COMM_WORLD_RANK: expected less than OMPI_COMM_WORLD_SIZE, 3"),
        ({**MPIRUN, "OMPI_COMM_WORLD_SIZE": "0"}, "OMPI_COMM_WORLD_SIZE: expected a whole number from 1 to"),
        ({**MPIRUN, "OMPI_COMM_WORLD_RANK": "-1"}, "OMPI_COMM_WORLD_RANK: expected a whole number from 0 to"),
        ({"PMI_RANK": "0"}, "PMI_SIZE: expected a whole number from 1 to 65536, it is not set"),
        ({"PMI_SIZE": "two", "PMI_RANK": "0"}, "PMI_SIZE: .*, not 'two'"),
        ({**WORKER, **MPIRUN}, "MS_ROLE: MS_WORKER under mpirun, which sets OMPI_COMM_WORLD_RANK"),
        ({**WORKER, "MS_ROLE": "MS_SCHED"}, "MS_ROLE: expected MS_WORKER; the scheduler is no rank"),
        ({**WORKER, "MS_ROLE": "worker"}, "MS_ROLE: expected MS_WORKER or MS_SCHED, not 'worker'"),
        ({**WORKER, "MS_NODE_ID": "3"}, "MS_NODE_ID: expected less than MS_WORKER_NUM, 3, not 3"),
        ({**WORKER, "MS_NODE_ID": "node-a"}, "MS_NODE_ID: expected a whole number"),
        ({**WORKER, "RANK_ID": "0"}, "RANK_ID: 0 contradicts MS_NODE_ID, 1"),
        ({**WORKER, "MS_SCHED_PORT": "80000"}, "MS_SCHED_PORT: .* from 1 to 65535, not '80000'"),
        ({**WORKER, "MS_SCHED_HOST": ""}, "MS_SCHED_HOST: expected the scheduler's address"),
        (without(WORKER, "MS_WORKER_NUM"), "MS_WORKER_NUM: .* it is not set"),
        (without(WORKER, "MS_SCHED_PORT"), "MS_SCHED_PORT: .* it is not set"),
        (without(WORKER, "MS_NODE_ID"), "MS_NODE_ID: expected the rank of this process, it is not set"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(environ: Dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Ranks.of_environment(environ)
    assert "\n" not in str(caught.value)


def test_only_the_scheduler_is_one() -> None:
    assert is_scheduler({"MS_ROLE": "MS_SCHED"})
    assert not is_scheduler(WORKER)
    assert not is_scheduler({})


def test_a_process_alone_exchanges_with_itself() -> None:
    exchange = open_exchange(Ranks())
    assert isinstance(exchange, Alone)
    assert (exchange.rank, exchange.size) == (0, 1)
    array = np.arange(6.0).reshape(3, 2)
    for back in (exchange.sum(array), exchange.all_to_all([array])[0], exchange.gather(array)[0]):
        np.testing.assert_array_equal(back, array)
    assert exchange.broadcast(b"content") == b"content"
    exchange.close()
    exchange.close()


def test_importing_starts_neither_mpi_nor_mindspore() -> None:
    code = (
        "import sys, mindspore_rec.distributed.ranks, mindspore_rec.distributed.mpi_exchange\n"
        "import mindspore_rec.distributed.framework_exchange\n"
        "sys.exit(bool({'mpi4py', 'mindspore'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
