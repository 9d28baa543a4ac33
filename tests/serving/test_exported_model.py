"""Damaged exports: every file, each refused by name."""

import os
import shutil

import numpy as np
import pytest

from mindspore_rec.serving.export import ModelExport
from mindspore_rec.serving.exported_model import read_export
from mindspore_rec.serving.manifest import MANIFEST, ExportError, Source, read_manifest
from mindspore_rec.serving.network_inputs import NetworkInputs
from tests.serving.trained_models import batch, rows_of, slot_dnn, trained

LAYOUTS = ("native", "paddle")


@pytest.fixture(scope="module", params=LAYOUTS)
def whole(request, tmp_path_factory):
    model = slot_dnn()
    network = trained(model, steps=1)
    folder = tmp_path_factory.mktemp("whole") / "model"
    export = ModelExport(network, NetworkInputs.of_schema(model.schema))
    return export.write(folder, rows_of(network), Source(model={}), request.param)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def refused(folder, message):
    with pytest.raises(ExportError, match=message) as error:
        read_export(folder)
    assert "\n" not in str(error.value)


def test_it_can_be_copied(folder):
    exported = read_export(folder)
    ids, dense, _ = batch(slot_dnn().schema, 4)
    assert exported.predict(ids, dense)["probability"].shape == (4, 1)


@pytest.mark.parametrize("damage", ["bit", "cut", "longer", "missing", "link", "folder"])
def test_each_file_is_verified(folder, damage):
    for file in read_manifest(folder).files:
        path = folder / file
        content = path.read_bytes()
        path.unlink()
        if damage == "bit":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        elif damage == "cut":
            path.write_bytes(content[:-1])
        elif damage == "longer":
            path.write_bytes(content + b"\0")
        elif damage == "link":
            (folder.parent / "elsewhere").write_bytes(content)
            path.symlink_to(folder.parent / "elsewhere")
        elif damage == "folder":
            path.mkdir()
        name = file.replace(".", r"\.")
        refused(folder, f"{name} is damaged" if damage in ("bit", "cut", "longer", "link") else name)
        path.rmdir() if damage == "folder" else path.unlink(missing_ok=True)
        path.write_bytes(content)
    read_export(folder)


def test_files_that_do_not_belong_are_named(folder):
    (folder / "more").touch()
    refused(folder, "not the files it was written with: more")
    os.unlink(folder / "more")
    (folder / "sub").mkdir()
    (folder / "sub" / "more").touch()
    refused(folder, "not the files it was written with: sub/more")


def test_a_manifest_of_another_export_is_refused(folder, tmp_path):
    model = slot_dnn()
    network = trained(model, steps=2)
    other = ModelExport(network, NetworkInputs.of_schema(model.schema)).write(
        tmp_path / "other", rows_of(network), Source(model={}), read_manifest(folder).layout
    )
    shutil.copy(other / MANIFEST, folder / MANIFEST)
    refused(folder, "is damaged")


@pytest.mark.parametrize(
    ("ids", "numbers", "message"),
    [
        (np.zeros((2, 3), np.int64), np.zeros((2, 3), np.float32), "ids of 3 slots, expected 4"),
        (np.zeros((2, 4), np.int64), None, r"dense: expected shape \[2, 3\], got nothing"),
        (
            np.zeros((2, 4), np.int64),
            np.zeros((3, 3), np.float32),
            r"dense: expected shape \[2, 3\], got shape \[3, 3\]",
        ),
    ],
)
def test_other_shapes_are_refused(folder, ids, numbers, message):
    with pytest.raises(ValueError, match=message):
        read_export(folder).predict(ids, numbers)
