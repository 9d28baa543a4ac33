"""Where a configuration and its model.py are found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mindspore_rec.cli.model_folder import MODELS, Workspace, builtin_models, config_path, workspace_of
from mindspore_rec.config import ConfigError
from tests.cli.job_files import builtins

LISTED = "one of the built-in models: models/rank/dnn, models/recall/word2vec"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return builtins(tmp_path / "installed")


def test_the_built_in_models(models: Path) -> None:
    assert builtin_models(models) == ("rank/dnn", "recall/word2vec")
    assert "rank/wide_deep" in builtin_models(MODELS)
    assert builtin_models(models / "none") == ()


def test_a_file_a_folder_and_a_name(models: Path, tmp_path: Path) -> None:
    found = models / "rank/dnn/config.yaml"
    for text in (str(found), str(found.parent), f"{found.parent}/"):
        assert config_path(text, models) == found
    for text in ("models/rank/dnn", "./models/rank/dnn/", "mindspore_rec.models.rank.dnn", "models.rank.dnn"):
        assert config_path(text, models) == found
    own = tmp_path / "models/rank/dnn"
    own.mkdir(parents=True)
    assert config_path("models/rank/dnn", models) == found, "a folder without a configuration does not hide the model"
    (own / "config.yaml").touch()
    assert config_path("models/rank/dnn", models) == Path("models/rank/dnn/config.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "models/recall/gnn",
        "mindspore_rec.models.recall.gru4rec",
        "models/rerank/listwise",
        "models/rank/layers",
        "gnn",
        "rank/dnn",
        "models/rank/../rank/dnn",
        "none.yaml",
        "n" * 300,
        "a/" * 5000,
        "",
    ],
)
def test_anything_else_lists_what_exists(text: str, models: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(LISTED)) as error:
        config_path(text, models)
    assert str(error.value).startswith(f"-m {text[:200]}: ") and "\n" not in str(error.value)


RANK = ("dcn_v2", "deepfm", "dnn", "fm", "lr", "slot_dnn", "wide_deep")
RECALL = ("dssm", "ncf", "word2vec")
BUILT_IN = ("online_learning/ctr_dnn", *(f"rank/{name}" for name in RANK), *(f"recall/{name}" for name in RECALL))


def test_the_models_of_the_package() -> None:
    assert builtin_models() == BUILT_IN
    for name in BUILT_IN:
        found = MODELS / name / "config.yaml"
        for text in (
            f"mindspore_rec.models.{name.replace('/', '.')}",
            f"models/{name}",
            f"models.{name.replace('/', '.')}",
        ):
            assert config_path(text) == found
        assert workspace_of(found, None) == Workspace(MODELS / name, MODELS / name)


@pytest.mark.parametrize(
    "text", ["models/recall/gnn", "models/recall/gru4rec", "models/rerank/listwise", "models/rank/din"]
)
def test_models_that_do_not_exist_list_those_that_do(text: str) -> None:
    with pytest.raises(
        ConfigError, match=f"^-m {text}: neither a file nor a built-in model; expected a YAML file"
    ) as error:
        config_path(text)
    assert str(error.value).endswith(", ".join(f"models/{name}" for name in BUILT_IN))


def test_a_model_without_a_configuration(models: Path) -> None:
    with pytest.raises(ConfigError, match=r"this model has no config\.yaml"):
        config_path("models/recall/word2vec", models)


def test_the_model_of_the_same_name(models: Path, tmp_path: Path) -> None:
    own = tmp_path / "clone/rank/dnn"
    own.mkdir(parents=True)
    wanted = Workspace(models / "rank/dnn", own)
    for workspace in (None, "", "models/rank/dnn", "mindspore_rec.models.rank.dnn"):
        assert workspace_of(own / "config.yaml", workspace, models) == wanted
    other = Workspace(models / "recall/word2vec", own)
    assert workspace_of(own / "config.yaml", "models/recall/word2vec", models) == other


def test_the_model_of_a_folder(models: Path, tmp_path: Path) -> None:
    own = tmp_path / "clone/rank/dnn"
    own.mkdir(parents=True)
    for workspace in (".", str(own), "../dnn/"):
        assert workspace_of(own / "config.yaml", workspace, models) == Workspace(own, own)


@pytest.mark.parametrize(
    "workspace", [None, "nowhere", "n" * 300, "a/" * 5000, "a\0b", "models/rank/fm", "models/recall/gnn"]
)
def test_no_model_lists_what_exists(workspace: str, models: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(LISTED)) as error:
        workspace_of(tmp_path / "my/own/config.yaml", workspace, models)
    assert "workspace" in str(error.value)
