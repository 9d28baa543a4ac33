"""What a process is told by its launcher is what `Ranks` reads."""

from __future__ import annotations

import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.distributed import launchers
from mindspore_rec.distributed.launchers import dynamic_environments, mpirun_command, without_launcher
from mindspore_rec.distributed.ranks import Ranks, is_scheduler


def test_dynamic_networking_tells_each_process_who_it_is() -> None:
    scheduler, workers = dynamic_environments(3, {"HOME": "x", "OMPI_COMM_WORLD_RANK": "0", "MS_TOPO_TIMEOUT": "9"})
    assert is_scheduler(scheduler)
    assert [Ranks.of_environment(environ) for environ in workers] == [Ranks(rank, 3, "dynamic") for rank in range(3)]
    for environ in (scheduler, *workers):
        assert environ["MS_SCHED_PORT"] == scheduler["MS_SCHED_PORT"]
        assert (environ["HOME"], environ["MS_TOPO_TIMEOUT"]) == ("x", "9")
        assert "OMPI_COMM_WORLD_RANK" not in environ


def test_a_process_without_launcher_is_alone() -> None:
    _, workers = dynamic_environments(2, {"OMPI_COMM_WORLD_SIZE": "2", "PMI_RANK": "1"})
    assert Ranks.of_environment(without_launcher(workers[1])) == Ranks()


def test_without_an_mpirun_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "find_mpirun", lambda: None)
    with pytest.raises(ConfigError, match=r"\Ampirun: not found: install the extra \[mpi\].*\Z"):
        mpirun_command(2, ["program"])


def test_mpirun_gets_the_ranks_and_then_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "find_mpirun", lambda: "some-mpirun")
    command = mpirun_command(4, ["program", "--key", "value"])
    assert command[0] == "some-mpirun"
    assert command[-5:] == ["-np", "4", "program", "--key", "value"][-5:]
