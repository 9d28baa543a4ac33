"""``python -m mindspore_rec export`` and ``consistency``: from a checkpoint to a model that is what it was made of."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.config import ConfigError, FeatureConfig, UserError
from mindspore_rec.features.engine import make_engine
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.manifest import MANIFEST, read_manifest
from tests.serving.trained_models import StreamRun, saved, slot_dnn, trained, two_heads
from tests.source_tree import REPOSITORY

KEYS = FeatureConfig(dense_dim=2, slot_dim=3)


def raw_lines(rows, seed=0):
    rng = np.random.default_rng(seed)
    return [
        f"{k % 2}\t{rng.integers(-3, 50)}\t{rng.integers(50)}\t{'a' * int(rng.integers(4))}\tx{k % 7}\ty"
        for k in range(rows)
    ]


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A checkpoint folder of the stream trainer, and data of its features."""
    folder = tmp_path_factory.mktemp("stream")
    engine = make_engine(KEYS)
    lines = raw_lines(96)
    (folder / "data.tsv").write_text("\n".join([*lines, "not a row", ""]))
    batches = []
    for begin in range(0, 96, 32):
        features = engine.transform(["\n".join(lines[begin : begin + 32]).encode() + b"\n"], "block")
        batches.append((features.ids, features.weights, features.labels))
    StreamRun(folder / "checkpoints", batches, json.loads(engine.spec.to_json()))
    return folder


@pytest.fixture(scope="module")
def slots(tmp_path_factory):
    """A pass folder of slot_dnn, and data of its slots."""
    folder = tmp_path_factory.mktemp("slots")
    model = slot_dnn()
    saved(folder / "20190720" / "6", model, trained(model), **{"pass": {"day": "20190720", "number": 6}})
    rng = np.random.default_rng(0)
    rows = []
    for k in range(50):
        ids = " ".join(
            f"{int(i) * (2**59 + 1)}:{slot}" for slot in ("user", "item", "2") for i in rng.integers(0, 31, k % 3)
        )
        rows.append(f"{k % 2}:click {ids} {rng.random():.3f}:age")
    (folder / "part-0").write_text("\n".join(re.sub(" +", " ", row) for row in rows) + "\n")
    return folder


def lines(capsys, *arguments, status=0):
    assert main([*map(str, arguments)]) == status
    return capsys.readouterr().out.splitlines()


def exported(capsys, checkpoint, to, *arguments):
    (line,) = lines(capsys, "export", checkpoint, "--to", to, *arguments)
    return line


@pytest.mark.parametrize("layout", ["native", "paddle"])
def test_the_stream_model(stream, tmp_path, capsys, layout):
    line = exported(capsys, stream / "checkpoints", tmp_path / "model", "--layout", layout)
    assert line.startswith(f"wrote {tmp_path}/model of {stream}/checkpoints/delta-000000000003: step 3, ")
    assert re.search(r": step 3, table wide \d+ rows, table deep \d+ rows$", line)
    manifest = read_manifest(tmp_path / "model")
    assert manifest.graph.outputs == ("probability",)
    assert manifest.source.spec == json.loads(make_engine(KEYS).spec.to_json())
    compared = lines(capsys, "consistency", "--model", tmp_path / "model", "--data", stream / "data.tsv")
    assert [re.sub(r"difference \S+,", "difference d,", line) for line in compared] == [
        "logit: 96 rows, largest difference d, equal",
        "probability: 96 rows, largest difference d, equal",
    ]


@pytest.mark.parametrize("layout", ["native", "paddle"])
def test_a_pass(slots, tmp_path, capsys, layout):
    exported(capsys, slots / "20190720" / "6", tmp_path / "model", "--layout", layout, "--fetch", "probability, logit")
    manifest = read_manifest(tmp_path / "model")
    assert manifest.graph.outputs == ("probability", "logit")
    assert (manifest.source.day, manifest.source.pass_number) == ("20190720", 6)
    compared = lines(capsys, "consistency", "--model", tmp_path / "model", "--data", slots / "part-0")
    assert [line.split(":")[0] for line in compared] == ["inputs", "logit", "probability"]
    assert all(line.endswith("equal") for line in compared)


def test_rows_of_fewer_bits_and_of_a_score(slots, tmp_path, capsys):
    exported(capsys, slots / "20190720" / "6", tmp_path / "all")
    line = exported(capsys, slots / "20190720" / "6", tmp_path / "model", "--row_type", "int8", "--min_score", "6.05")
    whole, manifest = read_manifest(tmp_path / "all"), read_manifest(tmp_path / "model")
    assert (whole.source.kind, manifest.source.kind) == ("full", "base")
    for name, table in read_export(tmp_path / "model").manifest.tables.items():
        assert table.row_type == "int8"
        assert 0 < table.rows < whole.tables[name].rows
        assert f"table {name} {table.rows} rows" in line


def test_a_graph_for_other_runtimes(stream, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    exported(capsys, stream / "checkpoints", tmp_path / "model", "--onnx")
    model = read_export(tmp_path / "model")
    session = onnxruntime.InferenceSession(str(tmp_path / "model" / "model.onnx"))
    graph = model.manifest.graph
    ids = np.zeros((3, len(graph.slots)), np.int64)
    weights = np.linspace(-1, 1, ids.size, dtype=np.float32).reshape(ids.shape)
    (found,) = session.run(graph.outputs, {"rows": model.rows(ids, graph.slots), "weights": weights})
    np.testing.assert_allclose(found, model.predict(ids, weights)["probability"], atol=1e-6)


def test_a_checkpoint_of_a_chain(stream, tmp_path, capsys):
    chosen = stream / "checkpoints" / "delta-000000000002"
    assert f"of {chosen}: step 2," in exported(capsys, chosen, tmp_path / "model")
    lines(capsys, "consistency", "--model", tmp_path / "model", "--data", stream / "data.tsv")
    with pytest.raises(UserError, match="is not the state that"):
        lines(
            capsys,
            *("consistency", "--model", tmp_path / "model", "--data", stream / "data.tsv"),
            *("--checkpoint", stream / "checkpoints" / "step-000000000001"),
        )


def test_a_model_of_ones_own(tmp_path, capsys):
    model = two_heads(tmp_path)
    checkpoint = saved(tmp_path / "run", model, trained(model))
    with pytest.raises(ConfigError, match="which is no built-in one"):
        exported(capsys, checkpoint, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    exported(capsys, checkpoint, tmp_path / "model", "--model", tmp_path / "model.py")
    assert read_manifest(tmp_path / "model").graph.slots == ("user", "item")


def test_a_comparison_that_fails_says_where(slots, tmp_path, capsys):
    """The export of another state, which names this checkpoint as its own."""
    other = slot_dnn()
    network = trained(other, steps=5)
    exported(capsys, saved(tmp_path / "other", other, network), tmp_path / "model")
    found = {"checkpoint": str(slots / "20190720" / "6"), "digest": ""}
    manifest = read_manifest(tmp_path / "model")
    changed = manifest.model_copy(update={"source": manifest.source.model_copy(update=found)}).sealed()
    (tmp_path / "model" / MANIFEST).write_bytes(changed.to_json())
    compared = lines(capsys, "consistency", "--model", tmp_path / "model", "--data", slots / "part-0", status=1)
    assert re.fullmatch(r"logit: 50 rows, largest difference \S+, 50 beyond 1e-06", compared[1])


def test_exports_are_replaced_and_nothing_else(slots, tmp_path, capsys):
    for _ in range(2):
        exported(capsys, slots / "20190720" / "6", tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    read_export(tmp_path / "model")
    before = sorted(path.name for path in slots.rglob("*"))
    with pytest.raises(UserError, match="no exported model to replace"):
        exported(capsys, slots / "20190720" / "6", slots / "20190720" / "6")
    assert sorted(path.name for path in slots.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "nothing", "--to", "x"], "nothing: no such folder; expected a checkpoint"),
        (["export", "{slots}"], "--to"),
        (["export", "{slots}", "--to", "{tmp}/x", "--layout", "onnx"], "--layout"),
        (["export", "{slots}", "--to", "{tmp}/x", "--row_type", "int4"], "--row_type"),
        (
            ["export", "{slots}", "--to", "{tmp}/x", "--row_type", "int8", "--layout", "paddle"],
            "--row_type int8: expected float32",
        ),
        (["export", "{slots}", "--to", "{tmp}/x", "--min_score", "much"], "--min_score"),
        (["export", "{slots}", "--to", "{tmp}/x", "--min_score", "nan"], "--min_score"),
        (["export", "{slots}", "--to", "{tmp}/x", "--fetch", "score"], "variable 'score' is none of the model's"),
        (["export", "{slots}", "--to", "{tmp}/x", "--feed", "user,items"], "slot 'items' is none of the model's"),
        (["export", "{slots}", "--to", "{tmp}/x", "--feed", "user,item,2,age"], "probability depends on slot 'page'"),
        (
            ["export", "{slots}", "--to", "{slots}/step-000000000003/manifest.json/x"],
            "--to .*manifest.json: File exists",
        ),
        (["export", "{slots}", "--to", "{tmp}/x", "--unknown", "1"], "unknown argument '--unknown'"),
        (["consistency", "--model", "{slots}", "--data", "x"], "is no exported model"),
        (["consistency", "--model", "{tmp}", "--data", "x"], "is no exported model: manifest.json: No such file"),
        (["consistency", "--model", "x"], "--data"),
    ],
)
def test_mistakes_are_one_line(slots, tmp_path, arguments, message):
    folder = slots / "20190720" / "6"
    with pytest.raises(UserError, match=message) as error:
        main([part.format(slots=folder, tmp=tmp_path) for part in arguments])
    assert "\n" not in str(error.value)
    assert not any(tmp_path.iterdir())


def test_a_damaged_export_is_refused(slots, tmp_path, capsys):
    exported(capsys, slots / "20190720" / "6", tmp_path / "model")
    file = tmp_path / "model" / "sparse" / "embedding_w-000.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="embedding_w-000"):
        lines(capsys, "consistency", "--model", tmp_path / "model", "--data", slots / "part-0")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--data", "{tmp}/nothing"], "nothing: cannot be read"),
        (["--data", "{tmp}/empty"], "empty: no rows, expected at least one"),
        (["--data", "{slots}/part-0", "--format", "raw_tsv"], "--format raw_tsv: expected a slot format"),
        (["--data", "{slots}/part-0", "--checkpoint", "{tmp}/nothing"], "nothing: no such folder"),
    ],
)
def test_what_cannot_be_compared_is_said(slots, tmp_path, capsys, given, message):
    exported(capsys, slots / "20190720" / "6", tmp_path / "model")
    (tmp_path / "empty").write_text("no row\n")
    with pytest.raises(UserError, match=message):
        main(["consistency", "--model", str(tmp_path / "model"), *(p.format(slots=slots, tmp=tmp_path) for p in given)])


def test_a_checkpoint_that_is_gone_has_to_be_named(slots, tmp_path, capsys):
    shutil.copytree(slots / "20190720" / "6", tmp_path / "run")
    exported(capsys, tmp_path / "run", tmp_path / "model")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    arguments = ["consistency", "--model", str(tmp_path / "model"), "--data", str(slots / "part-0")]
    with pytest.raises(UserError, match="run/step-000000000003: no such folder"):
        main(arguments)
    assert main([*arguments, "--checkpoint", str(tmp_path / "moved")]) == 0


@pytest.mark.slow
def test_as_a_program(slots, tmp_path):
    command = [
        sys.executable,
        "-m",
        "mindspore_rec",
        "export",
        str(slots / "20190720" / "6"),
        "--to",
        str(tmp_path / "m"),
    ]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"wrote {tmp_path}/m of ")
    ran = subprocess.run(
        [*command[:5], "--to", str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1 and "no exported model to replace" in ran.stderr
