"""A predictor answers with what was published, each answer with one version."""

import numpy as np
import pytest

from mindspore_rec.serving.predictor import Predictor
from mindspore_rec.serving.publication_folder import PublicationFolder
from mindspore_rec.serving.served_model import ServedModel
from mindspore_rec.serving.delta import read_delta
from tests.serving.published_runs import PublishedRun, random_batches


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("published")
    return path, PublishedRun(path, random_batches(6))


def test_each_version_answers_as_the_trainer_did_then(run):
    path, trained = run
    folder = PublicationFolder(path)
    print(folder.kinds(), trained.publisher.last)
    full, deltas = folder.chain(folder.newest())
    model = ServedModel(full)
    ids, weights = trained.states.probe
    for delta in [None, *deltas]:
        if delta is not None:
            model.advance(read_delta(delta))
        outputs, version = model.predict(ids, weights)
        np.testing.assert_allclose(outputs["probability"], trained.states.answers[version.number], atol=1e-6)
    assert version.number == folder.newest() == 6
