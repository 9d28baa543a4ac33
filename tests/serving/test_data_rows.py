"""Rows of files as networks take them: the formats, and files of another data set."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mindspore_rec.config import ConfigError, FeatureConfig, UserError
from mindspore_rec.features.dictionary_file import write_dictionary_file
from mindspore_rec.features.engine import make_engine
from mindspore_rec.features.spec import FeatureSpec
from mindspore_rec.serving.data_rows import BATCH_ROWS, NetworkRows, fed, format_of, network_rows
from mindspore_rec.serving.manifest import ExportManifest, GraphOf, Source
from tests.features.contents import content_of
from tests.serving.trained_models import SLOTS, slot_dnn, stream_config

MODEL = slot_dnn()
SPEC = FeatureSpec(dense_dim=2, slot_dim=3)


def manifest_of(inputs, slots, numbers=(), source=None, weighted=False, fed=None):
    whole = GraphOf(file="v", inputs=inputs, outputs=("logit",), slots=slots, numbers=numbers)
    return ExportManifest(
        layout="native",
        created_by={},
        source=source or Source(model=MODEL.describe()),
        graph=fed or whole,
        variables=whole,
        tables={},
        weighted=weighted,
        dense={},
        files={},
    )


OF_SLOTS = manifest_of((("rows", (4, 3)), ("dense", (3,))), SLOTS, (("age", 1), ("price", 2)))
STREAM = Source(model={"config": stream_config().model_dump(mode="json")}, spec=asdict(SPEC))
OF_FIELDS = manifest_of((("rows", (5, 4)), ("weights", (5,))), ("I1", "I2", "C1", "C2", "C3"), source=STREAM)


def read(path, manifest, *arguments):
    return list(network_rows(str(path), format_of(manifest, *arguments), manifest))


@pytest.mark.parametrize("name", ["", "feasign_slot", "slot_feasign"])
def test_slot_text(tmp_path, name, caplog):
    tokens = ["click:1", "user:7", "user:8", "page:18446744073709551615", "price:0.5", "price:0.25", "age:3"]
    if name != "slot_feasign":
        tokens = [":".join(reversed(token.split(":"))) for token in tokens]
    (tmp_path / "part-0").write_text(" ".join(tokens) + "\nbad row\n")
    (rows,) = read(tmp_path / "part-0", OF_SLOTS, name)
    assert (rows.ids.ids.tolist(), rows.ids.offsets.tolist()) == ([7, 8, -1], [0, 2, 2, 2, 3])
    assert rows.ids.weights is None
    assert rows.numbers.tolist() == [[3.0, 0.5, 0.25]]
    assert "part-0: 1 rows left out, the first is row 1: " in caplog.text


def test_raw_rows_of_the_stream_model(tmp_path):
    (tmp_path / "a").write_bytes(b"1\t5\t\tx\ty\tz\n" * (BATCH_ROWS + 1))
    first, last = read(tmp_path / "a", OF_FIELDS)
    assert (first.ids.shape, last.ids.shape) == ((BATCH_ROWS, 5), (1, 5))
    assert last.numbers.tolist()[0] == pytest.approx([np.log1p(5.0), 0, 1, 1, 1])


def test_raw_rows_of_a_model_whose_values_have_weights(tmp_path):
    manifest = manifest_of(
        (("rows", (5, 3)),),
        ("I1", "I2", "C1", "C2", "C3"),
        source=STREAM.model_copy(update={"model": {}}),
        weighted=True,
    )
    (tmp_path / "a").write_bytes(b"1\t5\t\tx\ty\tz\n")
    (rows,) = read(tmp_path / "a", manifest)
    assert rows.numbers is None
    assert rows.ids.weights.tolist() == pytest.approx([np.log1p(5.0), 0, 1, 1, 1])


def test_all_files_of_a_folder(tmp_path):
    for part in (10, 9):
        (tmp_path / f"part-{part}").write_text(f"0:click {part}:user\n")
    assert [rows.ids.ids.tolist() for rows in read(tmp_path, OF_SLOTS)] == [[9], [10]]


@pytest.mark.parametrize(
    ("manifest", "arguments", "message"),
    [
        (OF_SLOTS, ("raw_tsv",), "--format raw_tsv: expected a slot format"),
        (OF_SLOTS, ("xml",), "--format xml: expected one of feasign_slot"),
        (OF_FIELDS, ("slot_feasign",), "--format slot_feasign: expected raw_tsv or parquet"),
        (OF_FIELDS.model_copy(update={"source": STREAM.model_copy(update={"spec": {"hash_seed": 1}})}), (), None),
        (
            OF_FIELDS.model_copy(update={"source": STREAM.model_copy(update={"spec": {"no": 1}})}),
            (),
            "feature spec of the model: ",
        ),
        (
            OF_FIELDS.model_copy(
                update={
                    "source": STREAM.model_copy(
                        update={
                            "spec": asdict(
                                FeatureSpec(id_rule="dict-v1", dictionary_digest="d", numeric_transform="minmax")
                            )
                        }
                    )
                }
            ),
            (),
            "--dictionary: expected the dictionary.safetensors",
        ),
    ],
)
def test_formats_that_do_not_fit_are_refused(manifest, arguments, message):
    if message is None:
        assert format_of(manifest, *arguments)
        return
    with pytest.raises(ConfigError, match=message) as error:
        format_of(manifest, *arguments)
    assert "\n" not in str(error.value)


def test_rows_of_another_data_set_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"1\t" + b"\t" * 38 + b"\n")
    other = STREAM.model_copy(update={"spec": asdict(FeatureSpec())})
    with pytest.raises(UserError, match="rows of 39 slots and 0 numbers, expected 5 and 0 as of the model"):
        read(tmp_path / "a", OF_FIELDS.model_copy(update={"source": other}))


def test_what_the_graph_is_fed_of_a_row(tmp_path):
    graph = GraphOf(file="g", inputs=(), outputs=(), slots=("item", "page"), numbers=(("price", 2),))
    manifest = OF_SLOTS.model_copy(update={"graph": graph})
    (tmp_path / "a").write_text("0:click 1:user 2:item 3:item 4:page 9:age 5:price 6:price\n")
    (rows,) = read(tmp_path / "a", manifest)
    found = fed(rows, manifest)
    assert (found.ids.ids.tolist(), found.ids.offsets.tolist()) == ([2, 3, 4], [0, 2, 3])
    assert found.numbers.tolist() == [[5.0, 6.0]]
    only_slots = manifest.model_copy(update={"graph": graph.model_copy(update={"numbers": ()})})
    assert fed(rows, only_slots).numbers is None
    plain = NetworkRows(np.arange(8).reshape(2, 4), None)
    assert fed(plain, only_slots).ids.tolist() == [[1, 3], [5, 7]]


def test_ids_of_a_dictionary_come_from_the_same_one(tmp_path):
    paths = [str(tmp_path / f"{k}.safetensors") for k in range(2)]
    for k, path in enumerate(paths):
        write_dictionary_file(Path(path), content_of([[b"x"], [b"y"], [b"z"]], 2, first_id=k), {})
    spec = make_engine(FeatureConfig(dense_dim=2, slot_dim=3, dictionary=paths[0])).spec
    manifest = OF_FIELDS.model_copy(update={"source": STREAM.model_copy(update={"spec": asdict(spec)})})
    (tmp_path / "a").write_bytes(b"1\t5\t\tx\ty\tz\n")
    (rows,) = read(tmp_path / "a", manifest, "", paths[0])
    assert rows.ids[0, 2:].tolist() == [5, 6, 7]
    with pytest.raises(ConfigError, match="gives feature spec"):
        format_of(manifest, "", paths[1])
