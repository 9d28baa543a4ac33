"""``python -m mindspore_rec table``: what it prints of a checkpoint, and how it fails."""

import json

import numpy as np
import pytest
import yaml

from mindspore_rec.__main__ import main
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.checkpoint.format import Checkpoint
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.config import UserError
from mindspore_rec.embedding.admission import MinCount
from mindspore_rec.embedding.eviction import Unseen
from mindspore_rec.embedding.optimizers import SGD, Adagrad
from mindspore_rec.embedding.table import HashTable
from mindspore_rec.features.spec import FeatureSpec

C1 = -4735654508514811120  # the id of C1=68fd1e64, see docs/feature_spec.md
DAY = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


@pytest.fixture
def folder(tmp_path):
    deep = HashTable(2, Adagrad(), admission=MinCount(2), eviction=[Unseen(steps=50)], name="deep")
    wide = HashTable(1, SGD(), name="wide")
    for step, ids in enumerate(([C1, 7], [C1, 8], [C1, 7])):
        for table in (deep, wide):
            batch = table.prepare(np.array(ids))
            sums = np.ones((2, table.dim), np.float32)
            table.apply(batch, sums, clicks=np.array([1, 0], np.float32), seconds=DAY + 60 * step)
    groups = {"table-deep": deep.state(), "table-wide": wide.state()}
    about = {"deep": deep.about(), "wide": wide.about()}
    meta = {"tables": about, "spec": json.loads(FeatureSpec().to_json())}
    CheckpointStore(tmp_path / "checkpoints").write(3, Checkpoint(groups, meta))
    return tmp_path / "checkpoints"


def run(capsys, *arguments):
    assert main(["table", *map(str, arguments)]) == 0
    return list(yaml.safe_load_all(capsys.readouterr().out.replace("\n\n", "\n---\n").removesuffix("---\n")))


def test_stats_of_every_table(folder, capsys):
    deep, wide = run(capsys, "stats", folder)
    assert (deep["table"], deep["rows"], deep["waiting"], deep["admitted"]) == ("deep", 2, 1, 2)
    assert deep["admission"] == "MinCount(count=2)"
    assert deep["steps_unseen_quartiles"] == [0, 0, 0, 0]
    assert (wide["table"], wide["rows"], wide["waiting"], wide["step"]) == ("wide", 3, 0, 3)


@pytest.mark.parametrize("text", ["C1=68fd1e64", str(C1), str(C1 % 2**64)])
def test_an_id_is_named_by_its_number_or_its_value(folder, capsys, text):
    (found,) = run(capsys, "explain", folder, text, "--table", "deep")
    assert found["id"] == C1 % 2**64
    assert found["state"] == "has a row"
    assert found["admitted"] == "step 2, 2023-11-14 22:14:20 UTC"
    assert found["last_seen"] == "step 3, 2023-11-14 22:15:20 UTC"
    assert (found["show"], found["click"]) == (3.0, 3.0)
    assert len(found["weights"]) == len(found["optimizer"]["accumulator"]) == 2


def test_ids_that_wait_and_ids_nobody_knows(folder, capsys):
    waiting, trained = run(capsys, "explain", folder / "step-000000000003", 8)
    assert (waiting["state"], waiting["show"]) == ("waits for admission", 1.0)
    assert trained["state"] == "has a row"
    assert [found["state"] for found in run(capsys, "explain", folder, "C2=nobody")] == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "{}/no"], "no such folder"),
        (["stats", "{}", "--table", "other"], "has no table 'other': it has deep, wide"),
        (["explain", "{}", "C27=x"], "fields are I1 to I13 and C1 to C26"),
        (["explain", "{}", "C0=x"], "fields are"),
        (["explain", "{}", "68fd1e64"], "expected a 64-bit number, or a field such as I3 or C5=68fd1e64"),
        (["explain", "{}", str(2**64)], "expected a 64-bit number"),
        (["explain", "{}"], "required: ID"),
        (["stat", "{}"], "invalid choice: 'stat'"),
    ],
)
def test_mistakes_are_told_in_one_line(folder, arguments, message):
    with pytest.raises(UserError, match=message) as error:
        main(["table", *(argument.format(folder) for argument in arguments)])
    assert "\n" not in str(error.value)


def test_a_damaged_table_is_told(folder):
    file = folder / "step-000000000003" / "table-deep.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    for more in ([], ["--table", "wide"]):
        with pytest.raises(CheckpointError, match=r"table-deep\.safetensors is damaged"):
            main(["table", "stats", str(folder), *more])
