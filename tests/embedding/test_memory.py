import numpy as np
import psutil

from mindspore_rec.embedding.memory import reserve


def test_reserving_costs_nothing_until_written():
    process = psutil.Process()
    before = process.memory_info().rss
    block = reserve(2**30, 16, np.float32)
    assert process.memory_info().rss - before < 64 * 2**20
    block[-1] = 7.0
    assert block[2**29].sum() == 0.0
    assert block[-1].sum() == 16 * 7.0
