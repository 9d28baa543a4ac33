"""What is published when: full ones and deltas, what is held back, what fails, and what goes away."""

import shutil

import numpy as np
import pytest

from mindspore_rec.cli import publications
from mindspore_rec.config import ConfigError, GateConfig
from mindspore_rec.serving.delta import read_delta
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.full_publications import make_full
from mindspore_rec.serving.gate import PublicationGate
from mindspore_rec.serving.publication_folder import RELEASE, PublicationFolder
from mindspore_rec.serving.served_model import ServedModel
from tests.serving.published_runs import PublishedRun, random_batches


def rows_of(model):
    """All rows that a served model answers with, by table."""
    found = {}
    for name, table in model.export.tables.items():
        overlay = model._live.overlays[name]
        rows = {}
        for share in table.shares:
            rows.update(zip(share.ids.tolist(), (row.tobytes() for row in table.lookup(share.ids))))
        for id_ in [id_ for id_ in rows if overlay.known(np.array([id_]))[0]]:
            del rows[id_]
        ids, weights = overlay.rows()
        rows.update(zip(ids.tolist(), (row.tobytes() for row in weights)))
        found[name] = rows
    return found


def served(folder, version):
    full, deltas = folder.chain(version)
    model = ServedModel(full)
    for delta in deltas:
        model.advance(read_delta(delta))
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("published")
    return path, PublishedRun(path, random_batches(6), publish={"publish_full_every": 100}, evict_after="2step")


@pytest.fixture
def folder(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "own")
    return PublicationFolder(tmp_path / "own")


@pytest.mark.parametrize("version", range(1, 7))
def test_base_and_deltas_are_the_tables_of_the_trainer(run, folder, version):
    assert rows_of(served(folder, version)) == run[1].states.rows[version]


@pytest.mark.parametrize("version", [2, 5, 6])
def test_a_full_one_made_of_deltas_is_the_same_state(run, folder, version):
    before = served(folder, version)
    path = make_full(folder, version)
    after = ServedModel(path)
    assert after.version == before.version
    assert rows_of(after) == rows_of(before) == run[1].states.rows[version]
    probe = run[1].states.probe
    np.testing.assert_array_equal(after.predict(*probe)[0]["probability"], before.predict(*probe)[0]["probability"])
    export = read_export(path)  # its graph file by itself has the parameters of this version
    np.testing.assert_allclose(export.predict(*probe)["probability"], run[1].states.answers[version], atol=1e-6)
    if version < 6:
        np.testing.assert_allclose(
            served(folder, 6).predict(*probe)[0]["probability"], run[1].states.answers[6], atol=1e-6
        )


def test_full_ones_are_made_in_time_and_old_ones_go(tmp_path):
    run = PublishedRun(tmp_path, random_batches(40), publish={"publish_full_every": 4, "publish_keep": 1})
    folder = PublicationFolder(tmp_path)
    full = [version for version, kinds in folder.kinds().items() if "full" in kinds]
    assert full[-1] > 10
    assert min(folder.kinds()) == full[-1]
    newest = folder.newest()
    assert rows_of(served(folder, newest)) == run.states.rows[newest]


class OneHeld:
    """Holds one publication back until it is released."""

    def __init__(self, number):
        self.number, self.seen, self.released = number, 0, 0

    def judge(self, metrics):
        self.seen += 1
        assert {"auc", "log_loss", "calibration", "rows"} <= metrics.keys()
        return "auc is out of its band" if self.seen == self.number else ""

    def release(self):
        self.released += 1


def test_what_is_held_back_is_there_and_comes_with_the_next(tmp_path, caplog):
    run = PublishedRun(tmp_path, random_batches(4), gate=OneHeld(4))
    folder = PublicationFolder(tmp_path)
    assert folder.current().version == 3
    assert folder.manifest_of(4, "delta").held == "auc is out of its band"
    assert "publication 4 is held back: auc is out of its band" in caplog.text
    assert rows_of(served(folder, 4)) == run.states.rows[4]
    run = PublishedRun(tmp_path / "other", random_batches(5), gate=OneHeld(4))
    folder = PublicationFolder(tmp_path / "other")
    assert folder.current().version == 5
    assert rows_of(served(folder, 5)) == run.states.rows[5]


def test_force_publishes_what_would_be_held_back(tmp_path, caplog):
    PublishedRun(tmp_path, random_batches(4), publish={"force": True}, gate=OneHeld(4))
    folder = PublicationFolder(tmp_path)
    assert folder.current().version == 4
    assert folder.manifest_of(4, "delta").held == "auc is out of its band"
    assert "publication 4 servers get it, as force says: auc is out of its band" in caplog.text


def test_a_release_is_told_to_the_gate_once(tmp_path):
    tmp_path.joinpath(RELEASE).write_text("{}")
    gate = OneHeld(9)
    PublishedRun(tmp_path, random_batches(3), gate=gate)
    assert gate.released == 1
    assert not tmp_path.joinpath(RELEASE).exists()


def test_what_somebody_chose_stays(tmp_path):
    PublishedRun(tmp_path, random_batches(2))
    folder = PublicationFolder(tmp_path)
    folder.point(1, pinned=True)
    PublishedRun(tmp_path, random_batches(2))
    assert (folder.current().version, folder.newest()) == (1, 4)


def test_after_a_failure_comes_a_full_one(tmp_path, monkeypatch, caplog):
    failed = []
    publish = PublicationFolder.publish

    def fails_once(folder, version, kind):
        if version == 3 and not failed:
            failed.append(version)
            raise OSError(28, "No space left on device")
        return publish(folder, version, kind)

    monkeypatch.setattr(PublicationFolder, "publish", fails_once)
    run = PublishedRun(tmp_path, random_batches(5))
    folder = PublicationFolder(tmp_path)
    assert "No space left on device; training goes on" in caplog.text
    assert folder.kinds() == {1: ("full",), 2: ("delta",), 4: ("full",), 5: ("delta",)}
    assert rows_of(served(folder, 5)) == run.states.rows[5]
    assert not list(folder.publications.glob(".writing-*"))


def test_only_rows_that_were_shown_often_enough(tmp_path):
    keys = {"publish_min_show": 5.0, "publish_full_every": 100}
    run = PublishedRun(tmp_path, random_batches(5, rows=8), publish=keys, statistics=True)
    folder = PublicationFolder(tmp_path)
    found = rows_of(served(folder, 5))
    table = run.network.deep.table.table.export_all()
    often = {id_ for id_, show in zip(table.ids.tolist(), table.show.tolist()) if show >= 5}
    assert 0 < len(often) < len(table)
    assert found["deep"].keys() == often
    assert found["deep"] == {id_: run.states.rows[5]["deep"][id_] for id_ in often}


def test_how_often_is_not_known(tmp_path):
    with pytest.raises(ConfigError, match=r"publish_min_show = 5: expected 0, or statistics = true, for table"):
        PublishedRun(tmp_path, random_batches(1), publish={"publish_min_show": 5.0})


def test_what_was_being_written_is_removed(tmp_path):
    left = tmp_path / "publications" / ".writing-000009-delta"
    left.mkdir(parents=True)
    PublishedRun(tmp_path, random_batches(1))
    assert not left.exists()


def test_metrics_and_times_are_those_of_the_rows_since_the_last_one(folder):
    for manifest in folder.versions():
        assert manifest.metrics["rows"] == 32
        assert 0 <= manifest.metrics["auc"] <= 1
        assert manifest.metrics["table_deep_rows"] > 0
        assert manifest.spec_digest
    assert [manifest.metrics["rows_trained"] for manifest in folder.versions()] == [32 * k for k in range(1, 7)]


def test_the_gate_holds_back_until_somebody_releases(tmp_path, capsys):
    keys = GateConfig(gate_width=1e-6, gate_tolerance=0.0, gate_min_rows=1, gate_warmup=2)
    gate = PublicationGate(keys)
    PublishedRun(tmp_path, random_batches(8), gate=gate)
    folder = PublicationFolder(tmp_path)
    held = [manifest.version for manifest in folder.versions() if manifest.held]
    assert held
    assert min(held) > 2  # while it warms up it holds nothing back
    assert folder.current().version == max(set(range(1, 9)) - set(held))
    assert publications.main(["release", str(tmp_path)]) == 0
    assert folder.current().version == 8
    PublishedRun(tmp_path, random_batches(2), gate=gate)
    assert folder.current().version == 10  # the gate was told, and begins anew
    assert not folder.manifest_of(9, "full").held
