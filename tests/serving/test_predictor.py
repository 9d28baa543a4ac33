"""A predictor answers with what was published, each answer with one version, and follows what comes."""

import json
import shutil
import threading

import numpy as np
import pytest

from mindspore_rec.config import ConfigError, UserError
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.serving.predictor import Predictor
from mindspore_rec.serving.publication import PUBLICATION, PublicationError
from mindspore_rec.serving.publication_folder import PublicationFolder
from mindspore_rec.serving.raw_rows import RowError
from tests.serving.published_runs import SPEC, PublishedRun, random_batches

SPEC_ROWS = ["3\t0.5\tred\tsmall\tx", [3, 0.5, "red", "small", "x"], {"I2": 0.5, "I1": 3, "C1": "red", "C3": "x"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("published")
    return path, PublishedRun(path, random_batches(6), publish={"publish_full_every": 100})


@pytest.fixture
def folder(run, tmp_path):
    """A copy of the publications, of which servers get the first."""
    shutil.copytree(run[0], tmp_path / "own")
    folder = PublicationFolder(tmp_path / "own")
    folder.point(1)
    return folder


@pytest.fixture
def predictor(folder):
    with Predictor(folder.path, poll_seconds=0.01) as predictor:
        yield predictor


def ask(predictor, probe):
    outputs, version = predictor._model.predict(*probe)
    return outputs["probability"], version.number


def check(predictor, run, number):
    _, trained = run
    found, version = ask(predictor, trained.states.probe)
    assert version == number
    np.testing.assert_allclose(found, trained.states.answers[number], atol=1e-6)


def wait_refused(predictor):
    tries = 0
    while not predictor.status().refused:
        tries += 1
        assert tries < 3000, "nothing was refused"
        threading.Event().wait(0.01)
    return predictor.status()


def damage(path, at=-9):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(bytes(content))


def test_each_version_answers_as_the_trainer_did_then(run, folder, predictor):
    for number in range(1, 7):
        folder.point(number)
        assert predictor.wait_for(number)
        check(predictor, run, number)
    status = predictor.status()
    assert (status.version.number, status.newest, status.refused, status.following) == (6, 6, "", True)
    assert status.version.step == 6
    assert set(status.tables) == {"wide", "deep"}


def test_versions_may_be_skipped_and_gone_back_to(run, folder, predictor):
    folder.point(5)
    assert predictor.wait_for(5)
    check(predictor, run, 5)
    folder.point(2, pinned=True)
    tries = 0
    while predictor.status().version.number != 2:
        tries += 1
        assert tries < 3000
        threading.Event().wait(0.01)
    check(predictor, run, 2)
    assert predictor.status().pinned


def test_a_rollback_stays_until_it_follows_again(run, folder, predictor):
    folder.point(4)
    assert predictor.wait_for(4)
    assert predictor.rollback(2).number == 2
    check(predictor, run, 2)
    folder.point(6)
    assert not predictor.wait_for(3, timeout=0.2)
    assert not predictor.status().following
    predictor.follow()
    assert predictor.wait_for(6)
    check(predictor, run, 6)


def test_a_rollback_to_what_is_not_there(predictor):
    with pytest.raises(PublicationError, match="no version 77"):
        predictor.rollback(77)
    assert (predictor.status().version.number, predictor.status().following) == (1, True)


@pytest.mark.parametrize("file", ["sparse/wide-000.safetensors", "dense/parameters.safetensors", PUBLICATION])
def test_a_damaged_delta_is_refused_and_the_last_good_version_stays(run, folder, predictor, file):
    damage(folder.path_of(3, "delta") / file)
    folder.point(5)
    assert "damaged" in wait_refused(predictor).refused
    check(predictor, run, 2)
    assert predictor.status().newest == 5


def test_a_gap_is_refused(run, folder, predictor):
    shutil.rmtree(folder.path_of(3, "delta"))
    folder.point(5)
    assert "version 3 is missing" in wait_refused(predictor).refused
    check(predictor, run, 1)


def test_a_delta_of_another_chain_is_refused(run, folder, predictor):
    path = folder.path_of(3, "delta") / PUBLICATION
    manifest = folder.manifest_of(3, "delta")
    other = manifest.model_copy(update={"follows": "0" * 64, "identity": "", "digest": ""}).sealed()
    path.write_bytes(other.to_json())
    folder.point(4)
    assert "does not follow version 2" in wait_refused(predictor).refused
    check(predictor, run, 2)


def test_what_was_refused_is_taken_once_it_is_whole(run, folder, predictor):
    path = folder.path_of(2, "delta") / "dense/parameters.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    folder.point(2)
    assert "damaged" in wait_refused(predictor).refused
    path.write_bytes(content)
    assert predictor.wait_for(2)
    check(predictor, run, 2)


def test_a_start_with_a_damaged_full_publication_is_an_error(folder):
    damage(folder.path_of(1, "full") / "sparse/deep-000.safetensors")
    with pytest.raises(UserError, match="damaged"):
        Predictor(folder.path)


def test_a_folder_without_publications(tmp_path, folder):
    with Predictor(tmp_path / "empty", poll_seconds=0.01) as predictor:
        assert predictor.status().version is None
        with pytest.raises(UserError, match="nothing was published yet"):
            predictor.predict(SPEC_ROWS[:1])
        shutil.copytree(folder.publications, tmp_path / "empty" / "publications")
        PublicationFolder(tmp_path / "empty").point(2)
        assert predictor.wait_for(2)
        assert len(predictor.predict(SPEC_ROWS).outputs["probability"]) == 3


def test_rows_in_any_form_are_the_same_rows(folder, predictor):
    text, values, named = (predictor.predict([row]).outputs["probability"] for row in SPEC_ROWS)
    assert text == values
    whole = predictor.predict([{**SPEC_ROWS[2], "C2": "small"}, b"1\t" + SPEC_ROWS[0].encode()]).outputs["probability"]
    assert (whole == text).all()
    assert named.shape == (1, 1)


def test_ids_that_nobody_knows_are_zeros(run, predictor):
    unknown = np.full((1, 5), 2**61 + 1)
    known = run[1].states.probe[0]
    assert not predictor.export.rows(unknown, predictor.export.manifest.graph.slots).any()
    assert predictor.export.rows(known, predictor.export.manifest.graph.slots).any()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1\t2\t3", "3 tab-separated fields, expected 5"),
        ([1, 2], "2 fields, expected 5"),
        ({"I9": 1}, "'I9'"),
        ("x\t0\ta\tb\tc", "no number"),
        ([float("inf"), 0, "a", "b", "c"], "not finite"),
        ("1\t2\ta\nb\tc\td", "line break"),
        (3, "int"),
        ([1, 2, {}, "b", "c"], "neither numbers"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(predictor, row, reason):
    for others in (["1\t2\ta\tb\tc"] * 2, [[1, 2, "a", "b", "c"]] * 2):
        with pytest.raises(RowError, match=reason) as caught:
            predictor.predict([*others, row])
        assert caught.value.row == 2


def test_another_spec_is_refused(folder):
    with pytest.raises(ConfigError, match=f"{SPEC.digest()}, expected"):
        Predictor(folder.path, spec=FeatureSpec(hash_seed=9))
    Predictor(folder.path, spec=SPEC).close()


def test_a_publication_with_another_spec_is_refused(run, folder, predictor, tmp_path):
    other = tmp_path / "other"
    PublishedRun(other, random_batches(1), spec=FeatureSpec(dense_dim=2, slot_dim=3, hash_seed=1))
    path = folder.path_of(7, "full")
    shutil.copytree(other / "publications" / "000001-full", path)
    manifest = PublicationFolder(other).manifest_of(1, "full")
    (path / PUBLICATION).write_bytes(manifest.model_copy(update={"version": 7, "digest": ""}).sealed().to_json())
    folder.point(7)
    assert "feature spec" in wait_refused(predictor).refused
    check(predictor, run, 1)


def test_no_answer_mixes_versions(run, folder, predictor):
    """Threads ask without end while versions change: every answer is that of the version it names."""
    _, trained = run
    stop, wrong, seen = threading.Event(), [], set()

    def asks():
        while not stop.is_set():
            found, number = ask(predictor, trained.states.probe)
            seen.add(number)
            if not np.allclose(found, trained.states.answers[number], atol=1e-6):
                wrong.append(number)

    threads = [threading.Thread(target=asks) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        for number in range(2, 7):
            folder.point(number)
            assert predictor.wait_for(number)
        predictor.rollback(1)
        predictor.follow()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(seen) >= 4


def test_current_is_damaged(run, folder, predictor):
    (folder.path / "current").write_text(json.dumps({"version": "many"}))
    assert "current is damaged" in wait_refused(predictor).refused
    check(predictor, run, 1)
