"""A model.py, built in or a user's: what it must define, what is wrong in one line, and what a checkpoint keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mindspore import nn

from mindspore_rec.config import ConfigError
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import TableParameters
from mindspore_rec.models.model_file import PACKAGE, Model, described, load_model_file
from mindspore_rec.models.slot_network import OptimizerSettings

SCHEMA = SlotSchema("click", ("2", "3"), (("price", 2),))
TABLE = TableParameters(accessor={"embedx_threshold": 3, "embed_sgd_param": {"adagrad": {"weight_bounds": [-1, 1]}}})
GOOD = """
from mindspore_rec.models.slot_embedding import SlotEmbedding
from mindspore_rec.models.slot_network import HyperParameters, SlotNetwork


class Settings(HyperParameters):
    width: int = 3


class Network(SlotNetwork):
    all_vars = ("probability", "logit")

    def __init__(self, settings, schema, padding_id, tables):
        super().__init__(settings, schema, padding_id, tables)
        if settings.width > 5:
            raise ValueError(f"width = {settings.width}: expected at most 5\\nas was said")
        self.embedding = SlotEmbedding(settings.width, tables, padding_id=padding_id)

    def variables(self, ids, *dense):
        logit = self.embedding(ids).sum(axis=(1, 2)).reshape((-1, 1))
        return logit + 1, logit
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.py"
    path.write_text(text)
    return path


def model_of(path: Path, **settings: Any) -> Model:
    file = load_model_file(path)
    return Model(file, file.settings(**settings), SCHEMA, 0, {"embedding": TABLE})


def test_a_built_in_model_has_a_name_and_a_users_its_path(tmp_path: Path) -> None:
    path = PACKAGE / "rank" / "slot_dnn" / "model.py"
    assert load_model_file(path).name == "rank/slot_dnn"
    assert load_model_file(path).network is load_model_file(path.parent / ".." / "slot_dnn" / "model.py").network
    mine = write(tmp_path, GOOD)
    assert load_model_file(mine).name == str(mine.resolve())


def test_files_of_one_name_are_models_of_their_own(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", GOOD), write(tmp_path / "b", GOOD.replace("width: int = 3", "width: int = 4"))
    files = [load_model_file(path) for path in (first, second)]
    assert [file.settings().width for file in files] == [3, 4]  # type: ignore[attr-defined]
    write(tmp_path / "a", GOOD.replace("width: int = 3", "width: int = 5 "))
    assert load_model_file(first).settings().width == 5, "read again"  # type: ignore[attr-defined]


def test_its_logit_is_found_among_its_variables(tmp_path: Path) -> None:
    assert model_of(write(tmp_path, GOOD)).network().place_of_logit == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\nimport no_such_module", "model.py:2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def", "SyntaxError: invalid syntax"),
        ("x = '\0'", "null bytes"),
        ("raise RuntimeError('first\\nsecond\\nthird')", "model.py:1: RuntimeError: first"),
        ("raise RuntimeError", "RuntimeError"),
        (GOOD.replace("class Settings(HyperParameters)", "class Others(HyperParameters)"), "expected a class Settings"),
        (GOOD.replace("class Network(SlotNetwork)", "class Network"), "expected a class Network derived from"),
        (GOOD.replace('("probability", "logit")', '("probability",)'), "expected 'logit' among them"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as found:
        load_model_file(path)
    assert str(found.value).startswith(f"{path.resolve()}:") and told in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["none.py", "folder", "model.yaml"])
def test_no_python_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.yaml").write_text("mode: train")
    with pytest.raises(ConfigError) as found:
        load_model_file(tmp_path / name)
    assert str(found.value).startswith(f"{(tmp_path / name).resolve()}: ") and "\n" not in str(found.value)


def test_a_network_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(ConfigError) as found:
        model_of(path, width=6).network()
    assert str(found.value) == f"{path.resolve()}: width = 6: expected at most 5"


def test_what_a_checkpoint_keeps_makes_the_same_model(tmp_path: Path) -> None:
    model = model_of(write(tmp_path, GOOD), width=2, optimizer={"class": "Adagrad", "learning_rate": 0.5}, seed=7)
    kept = json.loads(json.dumps(model.describe()))
    assert kept == model.describe(), "as it is compared with what a checkpoint says"
    assert described(kept, model.file) == model
    assert replace(model, padding_id=None).describe()["padding_id"] is None
    assert kept["hyper_parameters"]["optimizer"]["class"] == "adagrad"


def test_weights_that_the_framework_draws_are_a_function_of_the_seed(tmp_path: Path) -> None:
    """Else ranks would begin with weights of their own."""
    path = write(
        tmp_path,
        GOOD.replace("self.embedding =", "self.out = nn.Dense(2, 3)\n        self.embedding =").replace(
            "\n\n\nclass Settings", "\nfrom mindspore import nn\n\n\nclass Settings", 1
        ),
    )

    def weights(seed: int) -> bytes:
        return bytes(model_of(path, seed=seed).network().out.weight.asnumpy().tobytes())

    first = weights(3)
    weights(4)
    assert weights(3) == first != weights(4)


@pytest.mark.parametrize(("name", "kind"), [("adam", nn.Adam), ("Adagrad", nn.Adagrad), ("SGD", nn.SGD)])
def test_the_optimizer_of_dense_parameters(name: str, kind: type) -> None:
    path = PACKAGE / "rank" / "slot_dnn" / "model.py"
    model = model_of(path, optimizer={"class": name, "learning_rate": 0.25}, fc_sizes=(2,), sparse_feature_dim=2)
    network = model.network()
    optimizer = model.optimizer(network)
    assert type(optimizer) is kind and float(optimizer.learning_rate.asnumpy()) == 0.25
    assert [p.name for p in optimizer.parameters] == [p.name for p in network.trainable_params()]
    assert len(optimizer.parameters) == 4, "the tables are not among them"


def test_defaults_are_paddles() -> None:
    file = load_model_file(PACKAGE / "rank" / "slot_dnn" / "model.py")
    settings = file.settings()
    assert settings.optimizer == OptimizerSettings(learning_rate=5e-6)
    assert (settings.fc_sizes, settings.sparse_feature_dim) == ((512, 256, 128), 9)  # type: ignore[attr-defined]
