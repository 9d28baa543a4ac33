"""Subnormal numbers taken for zero in a thread.

MindSpore runs a graph now in the threads of its pool, which take subnormal numbers for zero, now in the thread that
calls it, which does not: that changes during the first steps of a process, and with the size of a kernel. Then a state
would depend on restarts to the bit: Adam's beta1_power is subnormal after 800 steps. So the threads that call graphs
do as the pool does.
"""

from __future__ import annotations

import ctypes
import logging
import platform
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Tuple

logger = logging.getLogger(__name__)

_WORDS = 32  # fenv_t takes 8 of 32 bits on x86-64, 2 on aarch64
# Where the control register of the floating-point unit is in glibc's fenv_t, and the bits that stand for it:
# MXCSR.FTZ and DAZ (Intel SDM, volume 1, 10.2.3), FPCR.FZ (Arm ARM, C5.2.8).
_REGISTERS: Dict[str, Tuple[int, int]] = {"x86_64": (7, 0x8040), "aarch64": (0, 1 << 24)}


def flush_subnormals() -> int:
    """Have the calling thread take subnormal numbers for zero; return what `restore` needs to undo that.

    Threads it starts begin as it is then. Where it is not known how to do that, nothing happens.
    """
    return _exchange(_REGISTERS.get(platform.machine(), (0, 0))[1])


def restore(before: int) -> None:
    """Have the calling thread treat subnormal numbers as it did before `flush_subnormals`."""
    _exchange(before)


@contextmanager
def subnormals_flushed() -> Iterator[None]:
    """The calling thread takes subnormal numbers for zero in the block.

    >>> import numpy as np
    >>> small = np.full(4, 1e-40, np.float32)
    >>> with subnormals_flushed():
    ...     inside = small * np.float32(0.5)
    >>> bool(inside.any()), bool((small * np.float32(0.5)).any())
    (False, True)
    """
    before = flush_subnormals()
    try:
        yield
    finally:
        restore(before)


def _exchange(wanted: int) -> int:
    """Set the bits of this thread's register; return those it had."""
    index, mask = _REGISTERS.get(platform.machine(), (0, 0))
    try:
        libm: Any = ctypes.CDLL("libm.so.6")
        environment = (ctypes.c_uint32 * _WORDS)()
        libm.fegetenv(environment)
        before = environment[index] & mask
        environment[index] = environment[index] & ~mask | wanted
        if mask:
            libm.fesetenv(environment)
    except (OSError, AttributeError) as error:
        logger.debug("subnormal numbers stay as they are: %s", error)
        return 0
    return before
