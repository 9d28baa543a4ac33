"""How many processes the runners of a job are, from its file and from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple

import pytest

from mindspore_rec.cli.job import dump_job, load_job
from mindspore_rec.cli.job_ranks import check_runners, is_launched, with_ranks
from mindspore_rec.config import ConfigError
from mindspore_rec.distributed.ranks import Ranks
from mindspore_rec.job_config import Job
from tests.cli.job_files import FLAT, LISTS, SAME_IN_LISTS, job_file


def loaded(tmp_path: Path, text: str, *overrides: str) -> Job:
    return load_job(str(job_file(tmp_path, text)), overrides)


@pytest.mark.parametrize(
    ("mode", "ranks", "launched"),
    [
        ("single_cpu_train", (1, 0), False),
        ("single_gpu_train", (1, 0), False),
        ("single_multi_gpu_train", (4, 0), True),
        ("local_cluster_cpu_train", (1, 1), True),
        ("single_cpu_infer", (1, 0), False),
        ("cluster", (4, 2), False),
    ],
)
def test_every_class(mode: str, ranks: Tuple[int, int], launched: bool, tmp_path: Path) -> None:
    (runner,) = loaded(tmp_path, LISTS, f"mode={mode}").runners
    assert runner.config.ranks == ranks
    assert is_launched(runner.config) is launched


@pytest.mark.parametrize("text", [FLAT, SAME_IN_LISTS])
def test_online_is_one_process_unless_the_file_says_more(text: str, tmp_path: Path) -> None:
    (alone,) = loaded(tmp_path, text).runners
    assert (alone.config.ranks, is_launched(alone.config)) == ((1, 0), False)
    path = "runner.runner" if text is SAME_IN_LISTS else "runner"
    (several,) = loaded(tmp_path, text, f"{path}.worker_num=2", f"{path}.server_num=1").runners
    assert (several.config.ranks, is_launched(several.config)) == ((2, 1), True)


@pytest.mark.parametrize("runner_class", ["local_cluster", "local_cluster_train", "cluster_train"])
def test_a_cluster_has_a_worker_and_a_server_by_default(runner_class: str, tmp_path: Path) -> None:
    (runner,) = loaded(tmp_path, LISTS, f"runner=[{{name: a, class: {runner_class}}}]", "mode=a").runners
    assert runner.config.ranks == (1, 1)
    assert (runner.config.worker_num, runner.config.server_num) == (1, 1)


@pytest.mark.parametrize(
    ("mode", "workers", "servers", "expected"),
    [
        ("single_cpu_train", 2, None, ("local_cluster_train", 2, 0)),
        ("single_cpu_train", None, 1, ("local_cluster_train", 1, 1)),
        ("single_multi_gpu_train", None, 1, ("local_cluster_train", 4, 1)),
        ("local_cluster_cpu_train", 3, None, ("local_cluster_train", 3, 1)),
        ("cluster", None, 0, ("cluster_train", 4, 0)),
        ("single_cpu_infer", 2, 2, ("infer", 1, 0)),
        ("single_cpu_train", None, None, ("train", 1, 0)),
    ],
)
def test_the_command_line(
    mode: str, workers: Optional[int], servers: Optional[int], expected: Tuple[str, int, int], tmp_path: Path
) -> None:
    job = loaded(tmp_path, LISTS, f"mode={mode}")
    (runner,) = with_ranks(job, workers, servers).runners
    config = runner.config
    assert (config.runner_class, config.worker_num, config.server_num) == expected
    unchanged = {"runner_class", "worker_num", "server_num"}
    assert config.model_dump(exclude=unchanged) == job.runners[0].config.model_dump(exclude=unchanged)
    assert runner.phases == job.runners[0].phases


def test_what_is_printed_resolves_to_the_same_job(tmp_path: Path) -> None:
    for text in (FLAT, LISTS):
        job = with_ranks(loaded(tmp_path, text), 1, 1)
        path = tmp_path / "printed.yaml"
        path.write_text(dump_job(job), "utf-8")
        assert load_job(str(path)) == job


def test_ranks_that_were_started(tmp_path: Path) -> None:
    (tmp_path / "train_data").mkdir()
    (tmp_path / "train_data" / "part").write_text("click:1 1:2\n", "utf-8")
    phases = "runner.cluster.phases=[phase_train]"
    runners = loaded(tmp_path, LISTS, "mode=cluster", phases).runners
    check_runners(runners, Ranks(0, 6, "mpirun"))
    with pytest.raises(ConfigError, match="worker_num = 4, server_num = 2: expected 5 ranks, as mpirun started"):
        check_runners(runners, Ranks(0, 5, "mpirun"))
    with pytest.raises(ConfigError, match="class = cluster_train: expected ranks, started by mpirun -np 6"):
        check_runners(runners, Ranks())
    alone = loaded(tmp_path, LISTS, "runner.single_cpu_train.phases=[phase_train]").runners
    check_runners(alone, Ranks())
    with pytest.raises(ConfigError, match="worker_num = 1, server_num = 0: expected 2 ranks"):
        check_runners(alone, Ranks(1, 2, "dynamic"))
