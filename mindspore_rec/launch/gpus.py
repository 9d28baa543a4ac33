"""Which GPU of a machine a process computes on. All of this is before MindSpore is imported, which looks once."""

from __future__ import annotations

import ctypes
from typing import Mapping, MutableMapping, Sequence

from mindspore_rec.config import ConfigError
from mindspore_rec.launch.rank_log import LOCAL_RANK_VARIABLES

VARIABLE = "CUDA_VISIBLE_DEVICES"
_LIBRARY = "libnvidia-ml.so.1"


def check_gpus(gpus: Sequence[int], environ: Mapping[str, str]) -> None:
    """Refuse GPUs that are not there.

    Args:
        gpus: numbers of those asked for, among the ones that the environment shows; none: nothing is checked.
        environ: variables of this process.

    Raises:
        ConfigError: there are fewer, or none.
    """
    if not gpus:
        return
    shown = environ.get(VARIABLE)
    there = _installed() if shown is None else len(_numbers(shown))
    if not there:
        why = "this machine has no NVIDIA GPU, or no driver of one"
        if shown is not None:
            why = f"{VARIABLE} = {shown!r} shows no NVIDIA GPU of this machine"
        raise ConfigError(f"device = gpu: expected cpu, {why}")
    missing = [number for number in gpus if number >= there]
    if missing:
        numbers = ",".join(map(str, gpus))
        raise ConfigError(f"selected_gpus = {numbers!r}: expected numbers below {there}, the GPUs of this machine")


def choose_gpu(gpus: Sequence[int], rank: int, environ: MutableMapping[str, str]) -> None:
    """Have a rank see one GPU; several ranks share one where there are more ranks.

    Args:
        gpus: numbers of the job's; none: nothing is changed.
        rank: on this machine.
        environ: variables of this process, changed.

    >>> environ = {"CUDA_VISIBLE_DEVICES": "4,5,6"}
    >>> choose_gpu([0, 2], 1, environ)
    >>> environ
    {'CUDA_VISIBLE_DEVICES': '6', 'DEVICE_ID': '0'}
    """
    if not gpus:
        return
    number = gpus[rank % len(gpus)]
    shown = environ.get(VARIABLE)
    environ[VARIABLE] = str(number) if shown is None else _numbers(shown)[number]
    environ["DEVICE_ID"] = "0"


def local_rank(rank: int, environ: Mapping[str, str]) -> int:
    """The number of a rank on its machine, which launchers say; the rank itself where they do not.

    >>> local_rank(5, {"OMPI_COMM_WORLD_LOCAL_RANK": "1"}), local_rank(5, {})
    (1, 5)
    """
    names = (*LOCAL_RANK_VARIABLES, "DEVICE_ID")
    return next((int(environ[name]) for name in names if environ.get(name, "").isdigit()), rank)


def _numbers(shown: str) -> Sequence[str]:
    return [word.strip() for word in shown.split(",") if word.strip()]


def _installed() -> int:
    """GPUs that the driver's management library knows of: asking it leaves CUDA itself alone."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return 0
    count = ctypes.c_uint(0)
    if library.nvmlInit_v2() != 0:
        return 0
    try:
        return count.value if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 else 0
    finally:
        library.nvmlShutdown()
