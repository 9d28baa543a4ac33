"""A server that follows for half an hour: 900 deltas of 2 s, of a stream whose ids come and go."""

import gc

import numpy as np
import psutil
import pytest
from mindspore.train import Callback

from mindspore_rec.serving.predictor import Predictor
from mindspore_rec.train.hoist import lookup_cells
from tests.serving import published_runs
from tests.serving.published_runs import PublishedRun
from tests.serving.trained_models import FIELDS

DELTAS = 900
ROWS = 1024
ID_LIFE = 40  # steps
LEAST_TOUCHED = 100 << 20  # bytes that all deltas have together: what a leak would be


def drifting_batch(step):
    rng = np.random.default_rng(step)
    ids = rng.integers(step * 300, step * 300 + 8000, (ROWS, FIELDS)) * (2**43 + 1)
    labels = (rng.random((ROWS, 1)) < 0.3).astype(np.float32)
    return ids, rng.random((ROWS, FIELDS), np.float32), labels


class Batches:
    def __init__(self, count):
        self._count = count

    def __len__(self):
        return self._count

    def __iter__(self):
        return map(drifting_batch, range(self._count))


class Follows(Callback):
    """Has a server follow each publication, and notes the memory of the process, in which both live."""

    def __init__(self, path, publisher):
        super().__init__()
        self.path, self.publisher, self.predictor = path, publisher, None
        self.memory, self.rows, self.bytes = [], [], 0

    def on_train_step_end(self, run_context):
        self.publisher.wait()
        last = self.publisher.last
        if last is None or last.manifest is None:
            return
        if self.predictor is None:
            self.predictor = Predictor(self.path, poll_seconds=0.002)
        assert self.predictor.wait_for(last.version), self.predictor.status().refused
        self.bytes += last.manifest.nbytes
        self.rows.append(self.predictor.status().tables["deep"])
        if last.version % 100 == 0:
            gc.collect()
            self.memory.append(psutil.Process().memory_info().rss)


@pytest.mark.slow
def test_memory_stays_flat_and_base_and_deltas_are_the_table(tmp_path, monkeypatch):
    follows = []

    def states(network, publisher, probe):
        follows.append(Follows(tmp_path, publisher))
        return follows[0]

    monkeypatch.setattr(published_runs, "States", states)
    keys = {"publish_full_every": 60, "publish_keep": 1}
    run = PublishedRun(tmp_path, Batches(DELTAS), publish=keys, evict_after=f"{ID_LIFE}step", statistics=True)
    seen = follows[0]
    assert seen.predictor.wait_for(DELTAS)
    export, live = seen.predictor.export, seen.predictor._model._live
    for cell in lookup_cells(run.network):
        rows = cell.table.export_all()
        overlay = live.overlays[cell.table_name]
        known, found = overlay.known(rows.ids), overlay.read(overlay.find(rows.ids))
        found[~known] = export.tables[cell.table_name].lookup(rows.ids[~known])
        np.testing.assert_array_equal(found, rows.weights)
        ids = overlay.rows()[0].tolist()
        for share in export.tables[cell.table_name].shares:
            ids += share.ids[~overlay.known(share.ids)].tolist()
        assert sorted(ids) == sorted(rows.ids.tolist())  # no id that was evicted lives on
    seen.predictor.close()

    assert seen.bytes > LEAST_TOUCHED
    settled = seen.memory[2:]
    assert max(settled) - min(settled) < LEAST_TOUCHED / 3, [size >> 20 for size in seen.memory]
    assert max(seen.rows[300:]) < 1.5 * max(seen.rows[:300])
    full = [path for path in (tmp_path / "publications").iterdir() if path.name.endswith("full")]
    assert len(full) <= 2
