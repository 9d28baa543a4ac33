"""The built-in models as they are installed: each job runs on its sample rows, from the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from mindspore_rec.cli.model_folder import MODELS, builtin_models
from tests.source_tree import REPOSITORY

WITH_OTHER_ROWS = [name for name in builtin_models() if "dataset_infer" in (MODELS / name / "config.yaml").read_text()]


def aucs(tmp_path: Path, stage: str, *words: str) -> List[float]:
    """AUC of each epoch or pass that a run logs."""
    command = [sys.executable, "-m", "mindspore_rec.run", "-m", *words]
    environ = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [float(found) for found in re.findall(rf"{stage} Global Metric: .*?AUC=([\d.]+)", done.stdout + done.stderr)]


def check_job(name: str, tmp_path: Path) -> None:
    epochs = aucs(tmp_path, "Train", f"mindspore_rec.models.{name.replace('/', '.')}")
    assert epochs[-1] > max(epochs[0], 0.85)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == ["run"]
    if name in WITH_OTHER_ROWS:
        (auc,) = aucs(tmp_path, "Infer", f"models/{name}", "-o", "mode=single_cpu_infer")
        assert auc > 0.8


@pytest.mark.slow
def test_a_job_by_name(tmp_path: Path) -> None:
    check_job("rank/dnn", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in builtin_models() if name != "rank/dnn"])
def test_every_job_by_name(name: str, tmp_path: Path) -> None:
    check_job(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(MODELS.glob("*/*/config_online.yaml")), ids=lambda path: path.parent.name)
def test_every_job_by_passes(path: Path, tmp_path: Path) -> None:
    first, second = aucs(tmp_path, "Infer", str(path))
    assert first == pytest.approx(0.5, abs=0.1)
    assert second > 0.6
    saved = tmp_path / "run" / path.parent.name / "online"
    assert (saved / "20190720" / "2").is_dir() and (saved / "20190721" / "0").is_dir()
