"""What the trainers publish is what they trained: one process, several ranks, and over restarts."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.serving.predictor import Predictor
from mindspore_rec.serving.publication_folder import PublicationFolder
from mindspore_rec.serving.trained_model import trained_model
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.window_monitor import sigmoid
from tests.examples.programs import running_programs
from tests.examples.test_dist_online_train import launch

ROWS = 12_288


@pytest.fixture
def programs(broker, topic, tmp_path):
    with running_programs(broker.bootstrap_servers, topic, tmp_path) as running:
        yield running


def check_published(programs, path):
    """The newest publication answers as the network of the newest checkpoint does; how many deltas it took."""
    folder = PublicationFolder(path)
    assert folder.current().version == folder.newest()
    trained = trained_model(CheckpointStore(programs.checkpoints).newest())
    lines = SyntheticStream(3).lines(0, 500).decode().splitlines()
    with Predictor(path) as predictor:
        assert predictor.status().version.step == trained.source.step
        found = predictor.predict(lines).outputs["probability"]
        rows = predictor._reader.read(lines)
    trained.network.set_train(False)
    expected = sigmoid(PredictStep(trained.network)(*rows).asnumpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert len(np.unique(found)) > 250
    return len(folder.chain(folder.newest())[1])


def publishing(path):
    return ["--publish_path", str(path), "--publish_seconds", "0.05"]


def test_a_trainer_publishes_while_it_trains_and_begins_anew_after_a_restart(programs, tmp_path):
    path = tmp_path / "published"
    programs.producer("--limit", str(ROWS)).end()
    programs.consumer()
    half = programs.trainer("--max_rows", str(ROWS // 2), *publishing(path))
    assert half.end() == 0
    assert check_published(programs, path) > 0
    first = PublicationFolder(path).newest()
    assert programs.trainer("--max_rows", str(ROWS), *publishing(path)).end() == 0
    check_published(programs, path)
    kinds = PublicationFolder(path).kinds()
    assert kinds[first + 1] == ("full",)  # nobody knows what happened since the last publication
    newest = PublicationFolder(path).versions()[-1]
    assert newest.metrics["rows_trained"] == ROWS
    assert newest.data_time is not None
    assert sum(times.rows for times in newest.event_times) == newest.metrics["rows"]


def test_two_trainers_do_not_publish_into_one_folder(programs, tmp_path):
    path = tmp_path / "published"
    first = programs.trainer(*publishing(path))
    first.wait_for("no device queue")
    second = programs.trainer(*publishing(path), "--checkpoint_path", str(tmp_path / "other"))
    assert second.end() == 1
    assert "publish_path" in second.log
    assert "in use by process" in second.log
    assert "Traceback" not in second.log
    assert first.end(signal.SIGTERM) == 0


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["mpirun", "dynamic"])
def test_ranks_publish_together(programs, tmp_path, launcher):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install .[mpi]")
    path = tmp_path / "published"
    programs.producer("--limit", str(ROWS), "--partitions", "4").end()
    programs.consumer("--num_shards", "2")
    launch(programs, launcher, 2, "--max_rows", str(ROWS), *publishing(path))
    assert check_published(programs, path) > 0
    manifest = PublicationFolder(path).versions()[-1]
    assert {len(table.files) for table in manifest.tables.values()} == {2}
