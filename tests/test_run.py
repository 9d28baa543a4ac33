"""``python -m mindspore_rec.run``: configurations as PaddleRec's users have them, from their files to the saves."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
import yaml

from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import UserError
from mindspore_rec.distributed.launchers import find_mpirun, mpirun_command
from mindspore_rec.run import main
from mindspore_rec.serving.exported_model import read_export
from tests.launch.launched import Launched, wait_until
from tests.slot_files import write_rows
from tests.source_tree import REPOSITORY

JOBS = Path(__file__).with_name("run_jobs")
CRITEO = ["click", *(str(slot) for slot in range(1, 27))]
SMALL = "hyper_parameters={fc_sizes: [8], sparse_feature_dim: 3}"

needs_mpi = pytest.mark.skipif(find_mpirun() is None, reason="needs mpirun: the extra [mpi]")


def job(tmp_path: Path, name: str, rows: int = 24) -> str:
    """A configuration in a folder with the name of a built-in model, and two files of data beside it."""
    folder = tmp_path / "rank" / "dnn"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(JOBS / f"{name}.yaml", folder / "config.yaml")
    for part in range(2):
        write_rows(folder / "train_data" / f"part-{part}", rows // 2, CRITEO, seed=part, dense=13)
    return str(folder)


def online_job(tmp_path: Path) -> str:
    folder = tmp_path / "rank" / "slot_dnn"
    folder.mkdir(parents=True)
    shutil.copy(JOBS / "config_online.yaml", folder)
    for number, split in enumerate(("0000", "1200")):
        path = tmp_path / "data" / "20190720" / split / "part-0"
        write_rows(path, 40, ["1", "2", "3", "4"], seed=number, name_first=False)
    return str(folder / "config_online.yaml")


def run(tmp_path: Path, *words: str) -> Launched:
    return Launched([sys.executable, "-m", "mindspore_rec.run", *words], tmp_path)


def printed(output: str) -> dict:
    """The configuration that the output begins with."""
    lines = output.splitlines()
    ends = [k for k, line in enumerate(lines) if re.match(r"\d\d:\d\d:\d\d ", line)]
    return yaml.safe_load("\n".join(lines[: ends[0] if ends else None]))


def mistakes(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        main(list(words))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_help() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mindspore_rec.run", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    for word in ("-m CONFIG", "-o KEY=VALUE", "--worker_num", "--server_num", "local_cluster_train", "online_train"):
        assert word in done.stdout
    assert done.stderr == ""


def test_single_train_and_infer(tmp_path: Path) -> None:
    config = job(tmp_path, "single_cpu_train")
    own = "runner.single_cpu_train"
    overrides = [SMALL, f"{own}.epochs=4", f"{own}.save_inference_fetch_varnames=[logit]"]
    with run(tmp_path, "-m", config, "-o", overrides[0], "-o", *overrides[1:]) as process:
        assert process.status() == 0, process.errors()
        resolved = printed(process.output())
        (runner,) = resolved["runner"]
        assert (runner["class"], runner["epochs"], runner["save_checkpoint_path"]) == ("train", 4, "increment")
        assert resolved["hyper_parameters"]["fc_sizes"] == [8]
        lines = process.errors()
    assert "epoch: 1, batch: 10, loss: " in lines
    assert len(re.findall(r"Epoch: \d+, Train Global Metric: AUC=.* Ins number=24 ", lines)) == 4
    assert sorted(path.name for path in (tmp_path / "increment").iterdir()) == ["2", "4"]
    assert [path.name for path in CheckpointStore(tmp_path / "increment" / "4").paths()] == ["step-000000000048"]
    assert [path.name for path in (tmp_path / "inference").iterdir()] == ["4"]
    assert read_export(tmp_path / "inference" / "4").manifest.graph.outputs == ("logit",)
    infer = "runner=[{name: single_cpu_infer, class: infer, init_model_path: increment/4}]"
    with run(tmp_path, "-m", config, "-o", SMALL, infer, "mode=single_cpu_infer") as process:
        assert process.status() == 0, process.errors()
        assert re.search(r"Phase: phase_train, Infer Global Metric: AUC=1\.0+ .* Ins number=24 ", process.errors())


@pytest.mark.slow
def test_a_runner_after_the_other(tmp_path: Path) -> None:
    config = job(tmp_path, "single_cpu_train")
    runners = (
        "runner=[{name: a, class: single_train, epochs: 2, save_checkpoint_interval: 1},"
        "{name: b, class: infer, init_model_path: increment}]"
    )
    with run(tmp_path, "-m", config, "-o", SMALL, runners, "mode=[a, b]") as process:
        assert process.status() == 0, process.errors()
        lines = process.errors()
    assert lines.index("Epoch: 2, Train") < lines.index(f"predicting with {Path('increment', '2')}")
    assert lines.count("Infer Global Metric") == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--worker_num", "2", "--server_num", "1"], ["--launcher", "dynamic"]])
def test_local_cluster(words: List[str], tmp_path: Path) -> None:
    config = job(tmp_path, "local_cluster_cpu_train")
    own = "runner.local_cluster_cpu_train"
    overrides = [SMALL, f"{own}.epochs=2", f"{own}.save_checkpoint_interval=2", f"{own}.print_interval=1"]
    workers = 2 if "2" in words else 1
    with run(tmp_path, "-m", config, "-o", *overrides, *words) as process:
        assert process.status() == 0, process.errors()
        assert printed(process.output())["runner"][0]["worker_num"] == workers
        assert process.left() == []
        output = process.output()
    logs = {path.name for path in (tmp_path / "log").iterdir()}
    assert {"workerlog.0", "serverlog.0"} <= logs
    assert ("workerlog.1" in logs) == (workers == 2)
    first = (tmp_path / "log" / "workerlog.0").read_text("utf-8")
    assert output == first, "the log of the first worker begins with the configuration, and is shown"
    assert ("scheduler.log" in logs) == ("dynamic" in words or find_mpirun() is None)
    assert "Epoch: 2, Train Global Metric" in first
    assert "Ins number=24 " in first
    assert f"epoch: 1, batch: {12 // workers}," in first
    (path,) = CheckpointStore(tmp_path / "increment" / "2").paths()
    assert len(list(path.glob("table-embedding_w.*"))) == workers + 1


@pytest.mark.slow
def test_online_with_a_server(tmp_path: Path) -> None:
    config = online_job(tmp_path)
    with run(tmp_path, "-m", config, "--server_num=1", "--worker_num=1") as process:
        assert process.status() == 0, process.errors()
        (runner,) = printed(process.output())["runner"]
        assert (runner["class"], runner["worker_num"], runner["server_num"]) == ("online_train", 1, 1)
    log = (tmp_path / "log" / "workerlog.0").read_text("utf-8")
    assert "Day:20190720, Pass: 2, Train Global Metric: AUC=" in log
    assert "Day:20190720, Pass: 2, batch: 5, loss: " in log
    assert (tmp_path / "log" / "serverlog.0").exists()
    assert (tmp_path / "output_model" / "20190721" / "0").is_dir()
    with run(tmp_path, "-m", config) as process:  # alone, from where the two were: nothing is left to do
        assert process.status() == 0, process.errors()
        assert "going on after pass 0 of day 20190721" in process.errors()


@needs_mpi
@pytest.mark.slow
def test_ranks_that_a_user_started(tmp_path: Path) -> None:
    config = job(tmp_path, "local_cluster_cpu_train")
    own = "runner.local_cluster_cpu_train"
    words = ["-m", config, "-o", SMALL, f"{own}.class=cluster_train", f"{own}.epochs=1"]
    command = mpirun_command(2, [sys.executable, "-m", "mindspore_rec.run", *words])
    with Launched(command, tmp_path) as process:
        assert process.status() == 0, process.errors()
        assert printed(process.output())["runner"][0]["class"] == "cluster_train"
        assert "Epoch: 1, Train Global Metric" in process.errors()
        assert not (tmp_path / "log").exists()
    with Launched(mpirun_command(3, command[command.index(sys.executable) :]), tmp_path) as process:
        assert process.status() == 2
        assert "worker_num = 1, server_num = 1: expected 3 ranks, as mpirun started" in process.errors()


@pytest.mark.slow
def test_a_mistake_that_a_rank_finds_is_one_line(tmp_path: Path) -> None:
    config = job(tmp_path, "local_cluster_cpu_train")
    with run(tmp_path, "-m", config, "-o", "hyper_parameters.fc_size=3") as process:
        assert process.status() == 2
        *_, line = process.errors().splitlines()
        assert re.match(
            r"error: rank \d( \(server\))? ended with status 2: unknown key 'hyper_parameters.fc_size'.*"
            r"did you mean 'fc_sizes'\?; all it wrote is in log/(worker|server)log\.0$",
            line,
        ), line
        assert "Traceback" not in process.errors()


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_ctrl_c_ends_the_runner_and_those_after_it(ranks: int, tmp_path: Path) -> None:
    config = job(tmp_path, "local_cluster_cpu_train")
    runners = (
        f"runner=[{{name: a, class: local_cluster, worker_num: 1, server_num: {ranks - 1}, epochs: 1000000,"
        "print_interval: 1}, {name: b, class: train}]"
    )
    with run(tmp_path, "-m", config, "-o", SMALL, runners, "mode=[a, b]") as process:
        wait_until(lambda: "epoch: 2, batch: 1," in process.errors() + process.output() or process.ended())
        process.press_ctrl_c()
        assert process.status() == 0, process.errors()
        said = process.errors() + process.output()
        assert "stopped in epoch" in said
        assert said.count("Epoch: 1, Train") == 1
        assert process.left() == []


@pytest.mark.slow
def test_a_dead_rank_ends_the_job(tmp_path: Path) -> None:
    config = job(tmp_path, "local_cluster_cpu_train")
    with run(tmp_path, "-m", config, "-o", SMALL, "runner.local_cluster_cpu_train.epochs=1000000") as process:
        wait_until(lambda: "Epoch: 2, Train" in process.output() or process.ended())
        server = [found for found in process.left() if found.environ().get("OMPI_COMM_WORLD_RANK", "1") == "1"][-1]
        os.kill(server.pid, signal.SIGKILL)
        assert process.status() == 1
        assert "error: rank 1 (server) was killed by SIGKILL; all it wrote is in log/serverlog.0" in process.errors()
        assert process.left() == []


@pytest.mark.parametrize("name", ["single_gpu_train", "single_multi_gpu_train"])
def test_no_gpu(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = job(tmp_path, name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert mistakes("-m", config) == (
        "device = gpu: expected cpu, CUDA_VISIBLE_DEVICES = '' shows no NVIDIA GPU of this machine"
    )


def test_fewer_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert mistakes("-m", job(tmp_path, "single_multi_gpu_train")) == (
        "selected_gpus = '0,1,2,3': expected numbers below 2, the GPUs of this machine"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["-o", "runner.single_cpu_train.epoch=3"],
            r"unknown key 'runner.single_cpu_train.epoch' \(-o\); did you mean",
        ),
        (["-o", "mode=nothing"], r"mode = 'nothing' \(-o\) is not there: expected one of single_cpu_train"),
        (["--worker_num", "0"], r"worker_num = 0 \(argument --worker_num\): expected a whole number >= 1"),
        (["--server_num", "-1"], r"server_num = -1 \(argument --server_num\): expected a whole number >= 0"),
        (["--workers", "2"], r"unknown argument '--workers'; did you mean '--worker_num'\?"),
        (["--launcher", "slurm"], r"argument --launcher: invalid choice: 'slurm' \(choose from "),
        (["--worker_num", "two"], r"argument --worker_num: invalid int value: 'two'"),
        (
            ["-o", "dataset.dataset_train.data_path=nowhere"],
            r"dataset.dataset_train.data_path: nowhere: no such folder",
        ),
        (
            ["-o", "dataset.dataset_train.data_path=empty"],
            r"dataset.dataset_train.data_path: empty: no data files, expected at least one",
        ),
        (
            ["-o", "runner.single_cpu_train.class=cluster_train"],
            r"runner single_cpu_train: class = cluster_train: expected ranks, started by mpirun -np 2",
        ),
    ],
)
def test_mistakes_are_one_line_before_any_work(
    words: List[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert re.match(message, mistakes("-m", job(tmp_path, "single_cpu_train"), *words))
    assert capsys.readouterr().out == ""


def test_there_must_be_a_configuration() -> None:
    assert mistakes() == "the following arguments are required: -m"
    assert re.match("-m models/rank/nothing: .*one of the built-in models: ", mistakes("-m", "models/rank/nothing"))


def test_a_process_has_one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    runners = "runner=[{name: a, class: train}, {name: b, class: train, device: gpu}]"
    config = job(tmp_path, "single_cpu_train")
    assert mistakes("-m", config, "-o", runners, "mode=[a, b]").startswith("mode: runners a and b run in one process")


def test_phases_as_data_arrive_are_one(tmp_path: Path) -> None:
    phases = "phase=[{name: a, dataset_name: dataset_train}, {name: b, dataset_name: dataset_train}]"
    runner = "runner=[{name: r, class: online_train, start_day: 20190720, end_day: 20190720, model_save_path: m}]"
    assert mistakes("-m", job(tmp_path, "single_cpu_train"), "-o", phases, runner, "mode=r") == (
        "runner r: phases = a, b: expected one for class online_train"
    )


def test_a_model_file_that_fails(tmp_path: Path) -> None:
    config = job(tmp_path, "single_cpu_train")
    (Path(config) / "model.py").write_text("import paddle\n", "utf-8")
    with run(tmp_path, "-m", config, "-o", "workspace=.") as process:
        assert process.status() == 2
        assert re.fullmatch(r"error: \S*model.py:1: ModuleNotFoundError: No module named 'paddle'\n", process.errors())
