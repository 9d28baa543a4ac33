"""Trainer and server give the same probability for the same row, whatever it looks like."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mindspore import nn
from starlette.testclient import TestClient

from mindspore_rec import RecModel
from mindspore_rec.config import FeatureConfig, ModelConfig, PublishConfig
from mindspore_rec.data.synthetic import SyntheticStream
from mindspore_rec.features.engine import make_engine
from mindspore_rec.metrics.progressive import ProgressiveWindow
from mindspore_rec.models.rank.wide_deep.model import WideDeep
from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.predictor import Predictor
from mindspore_rec.serving.publication_folder import PublicationFolder
from mindspore_rec.serving.publisher import Publisher
from mindspore_rec.serving.server import create_app
from mindspore_rec.serving.trained_model import field_inputs
from mindspore_rec.train.eval_step import PredictStep
from mindspore_rec.train.losses import LogLoss
from mindspore_rec.train.window_monitor import sigmoid
from tests.serving.trained_models import Stream

TOLERANCE = 1e-6
BATCH = 256
NUMBERS, CATEGORIES = 13, 26


class Trained:
    """A trainer after some steps on synthetic clicks, and a server of what it published."""

    def __init__(self, path, engine):
        self.features = make_engine(FeatureConfig())
        self.network = WideDeep(ModelConfig(emb_dim=8, layers=(64, 32)))
        model = RecModel(self.network, LogLoss(), nn.Adam(self.network.trainable_params(), learning_rate=0.01))
        publisher = Publisher(
            PublicationFolder(path), model, PublishConfig(), field_inputs(39), {"config": {}}, ProgressiveWindow()
        )
        batches = []
        for begin in range(0, 4096, 512):
            made = self.features.transform([SyntheticStream(3).lines(begin, 512)], "block")
            batches.append((made.ids, made.weights, made.labels))
        spec = json.loads(self.features.spec.to_json())
        model.online_train(Stream(batches, spec), callbacks=[publisher], dataset_sink_mode=False)
        self.network.set_train(False)
        self.step = PredictStep(self.network)
        self.predictor = Predictor(path, engine=engine)
        self.client = TestClient(create_app(self.predictor, ServeConfig(max_rows=100000, max_body=64 << 20)))

    def by_trainer(self, lines):
        """Probabilities of raw lines with labels, in the order of those that can be read; and which those are."""
        made = self.features.transform(["".join(lines).encode("utf-8", "surrogatepass")], "block")
        found = [np.empty(0)]
        for begin in range(0, len(made), BATCH):  # all of one size, so that one graph is compiled
            part = [np.zeros((BATCH, 39), column.dtype) for column in (made.ids, made.weights)]
            for padded, column in zip(part, (made.ids, made.weights)):
                padded[: len(column[begin : begin + BATCH])] = column[begin : begin + BATCH]
            found.append(sigmoid(self.step(*part).asnumpy()).ravel())
        return np.concatenate(found)[: len(made)], made.row

    def by_server(self, instances):
        answer = self.client.post("/v1/models/criteo:predict", json={"instances": instances})
        assert answer.status_code == 200, answer.text
        return np.array(answer.json()["predictions"]).ravel()


@pytest.fixture(scope="module", params=["onnxruntime", "mindspore"])
def trained(request, tmp_path_factory):
    if request.param == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install .[onnx]")
    found = Trained(tmp_path_factory.mktemp("published"), request.param)
    with found.client:
        yield found
    found.predictor.close()


text = st.text(st.characters(exclude_characters="\t\r\n\0", exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(
    st.none(),
    st.integers(-3, 100),
    st.integers(-(10**15), 10**15),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: float(f"{value:.4f}")),
)
known = st.sampled_from(["68fd1e64", "80e26c9b", "fb936136", "7b4723c4", "05db9164"])
rows = st.lists(
    st.tuples(
        st.lists(numbers, min_size=NUMBERS, max_size=NUMBERS),
        st.lists(st.one_of(st.none(), known, text), min_size=CATEGORIES, max_size=CATEGORIES),
    ),
    min_size=1,
    max_size=20,
)


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=rows)
def test_random_rows(trained, rows):
    """As text and as objects: what JSON calls a number is the number that the text has."""
    lines = ["\t".join("" if value is None else str(value) for value in (*own, *other)) for own, other in rows]
    expected, kept = trained.by_trainer([f"0\t{line}\n" for line in lines])
    if len(kept) < len(rows):  # such as a category that is a line break to the format: no server reads it either
        lines = [lines[number] for number in kept.tolist()]
        rows = [rows[number] for number in kept.tolist()]
    if not rows:
        return
    np.testing.assert_allclose(trained.by_server(lines), expected, rtol=0, atol=TOLERANCE)
    objects = []
    for own, other in rows:
        named = {f"I{k + 1}": value for k, value in enumerate(own)}
        named.update({f"C{k + 1}": value for k, value in enumerate(other)})
        objects.append({name: value for name, value in named.items() if value is not None})
    np.testing.assert_allclose(trained.by_server(objects), expected, rtol=0, atol=TOLERANCE)


def test_rows_of_the_stream_it_was_trained_on_and_of_the_future(trained):
    for begin in (0, 10**8):
        lines = SyntheticStream(3).lines(begin, 1000).decode().splitlines(keepends=True)
        expected, kept = trained.by_trainer(lines)
        assert len(kept) == 1000
        assert expected.std() > 0.001
        found = trained.by_server([line.rstrip("\n") for line in lines])
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.skipif("MSREC_SAMPLE_DIR" not in os.environ, reason="MSREC_SAMPLE_DIR names no folder of real samples")
def test_real_rows(trained):
    files = sorted(Path(os.environ["MSREC_SAMPLE_DIR"]).rglob("*criteo*.t*"))
    lines = [line + "\n" for file in files for line in file.read_text().splitlines() if line.count("\t") == 39]
    assert len(lines) >= 100, files
    expected, kept = trained.by_trainer(lines[:5000])
    found = trained.by_server([lines[number].rstrip("\n") for number in kept.tolist()])
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
