"""Which GPUs a process may ask for, and which it sees."""

from __future__ import annotations

from typing import Dict

import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.launch.gpus import VARIABLE, check_gpus, choose_gpu, local_rank


@pytest.mark.parametrize(
    ("shown", "gpus", "message"),
    [
        ("", (0,), "device = gpu: expected cpu, CUDA_VISIBLE_DEVICES = '' shows no NVIDIA GPU"),
        ("3,5", (0, 2), "selected_gpus = '0,2': expected numbers below 2"),
        ("GPU-5c", (1,), "selected_gpus = '1': expected numbers below 1"),
    ],
)
def test_gpus_that_are_not_there(shown: str, gpus: tuple, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_gpus(gpus, {VARIABLE: shown})
    assert str(caught.value).startswith(message)


def test_gpus_that_are_there() -> None:
    check_gpus((), {VARIABLE: ""})
    check_gpus((1, 0), {VARIABLE: "3, 5"})


@pytest.mark.parametrize(
    ("environ", "rank", "seen"),
    [({}, 0, "2"), ({}, 1, "0"), ({}, 2, "2"), ({VARIABLE: "GPU-a,GPU-b,GPU-c"}, 0, "GPU-c")],
)
def test_a_rank_sees_one_gpu(environ: Dict[str, str], rank: int, seen: str) -> None:
    changed = dict(environ)
    choose_gpu((2, 0), rank, changed)
    assert changed == {VARIABLE: seen, "DEVICE_ID": "0"}


def test_a_process_on_a_cpu_is_left_alone() -> None:
    environ: Dict[str, str] = {}
    choose_gpu((), 1, environ)
    assert environ == {}


def test_the_rank_on_a_machine() -> None:
    assert local_rank(9, {"OMPI_COMM_WORLD_LOCAL_RANK": "3", "DEVICE_ID": "4"}) == 3
    assert local_rank(9, {"DEVICE_ID": "4"}) == 4
    assert local_rank(9, {"DEVICE_ID": ""}) == 9
