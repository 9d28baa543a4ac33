"""``python -m mindspore_rec publications``: what it prints and moves, on a folder without tables."""

import json
import re
import time

import pytest

from mindspore_rec.__main__ import main
from mindspore_rec.config import UserError
from mindspore_rec.serving.native_layout import file_of
from mindspore_rec.serving.publication import PUBLICATION, PublicationManifest
from mindspore_rec.serving.publication_folder import Current, PublicationFolder

DATA_TIME = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC
HELD = "auc 0.6000 is below 0.7134, the lower end of its band"


def publish(folder, version, kind, follows="", identity="", **fields):
    """Write a publication with one file; its manifest."""
    path = folder.path_of(version, kind)
    (path / "dense").mkdir(parents=True)
    (path / "dense" / "parameters.safetensors").write_bytes(bytes([version]) * (1 << 20))
    name = "dense/parameters.safetensors"
    manifest = PublicationManifest(
        version=version,
        kind=kind,
        follows=follows,
        identity=identity,
        created=time.time() - 300,
        tables={},
        dense=name,
        files={name: file_of(path, name)},
        **fields,
    ).sealed()
    (path / PUBLICATION).write_bytes(manifest.to_json())
    return manifest


@pytest.fixture
def folder(tmp_path):
    """Versions 1 (full), 2 (delta, and full), 3 (delta, held); 2 is current."""
    folder = PublicationFolder(tmp_path)
    figures = {"rows": 20_000.0, "auc": 0.75, "log_loss": 0.45, "calibration": 1.0}
    first = publish(folder, 1, "full")
    second = publish(folder, 2, "delta", first.identity, step=1234, data_time=DATA_TIME, metrics=figures)
    publish(folder, 2, "full", identity=second.identity)
    publish(folder, 3, "delta", second.identity, metrics={**figures, "auc": 0.6}, held=HELD)
    folder.point(2)
    return folder


def run(capsys, what, folder, *arguments, status=0):
    assert main(["publications", what, str(folder.path), *map(str, arguments)]) == status
    return capsys.readouterr().out.splitlines()


def cells(line):
    return re.split(r"\s{2,}", line.strip())


def test_the_list_shows_figures_and_states(folder, capsys):
    heading, first, second, third = run(capsys, "list", folder)
    names = ["version", "kind", "age", "data time", "step", "rows", "MiB", "auc", "log loss", "calibration"]
    assert cells(heading) == names
    assert cells(first) == ["1", "full", "5 min", "-", "0", "-", "1.0", "-", "-", "-"]
    shown = ["5 min", "2023-11-14 22:13:20", "1,234", "20,000", "1.0", "0.7500", "0.4500", "1.0000", "current"]
    assert cells(second) == ["2", "delta+full", *shown]
    assert cells(third)[-1] == f"held: {HELD}"
    assert heading.index("version") + len("version") == first.index("1") + 1  # numbers end where headings do
    assert heading.index("kind") == first.index("full")


def test_a_damaged_one_is_listed_too(folder, capsys):
    (folder.path_of(3, "delta") / PUBLICATION).write_text("{}")
    lines = run(capsys, "list", folder)
    assert len(lines) == 4
    assert "damaged: " in lines[3]


def test_a_rollback_pins_a_version(folder, capsys):
    (line,) = run(capsys, "rollback", folder, 1)
    assert line.startswith("version 1 is current and stays so")
    assert folder.current() == Current(version=1, pinned=True)
    assert not folder.take_release()
    assert cells(run(capsys, "list", folder)[1])[-1] == "current, pinned"


@pytest.mark.parametrize(("given", "version"), [([], 3), ([1], 1)])
def test_a_release_moves_on_and_tells_the_trainer(folder, capsys, given, version):
    folder.point(2, pinned=True)
    (line,) = run(capsys, "release", folder, *given)
    assert line.startswith(f"version {version} is current;")
    assert folder.current() == Current(version=version, pinned=False)
    assert json.loads((folder.path / "release").read_text()) == {"version": version}
    assert folder.take_release() and not folder.take_release()


def test_verify_reads_every_byte(folder, capsys):
    assert run(capsys, "verify", folder) == [
        f"whole: {name}, 1.0 MiB" for name in ("000001-full", "000002-delta", "000002-full", "000003-delta")
    ]


def flip(path):
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "its checksum is not"),
        (lambda file: file.write_bytes(b""), "no file of 1048576 bytes"),
        (lambda file: file.unlink(), "not the files it was written with: dense/parameters"),
        (lambda file: (file.parent / "more").write_text("x"), "not the files it was written with: dense/more"),
        (lambda file: (file.parent / "more").symlink_to(file.parent), "not the files it was written with: dense/more"),
        (lambda file: file.rename(file.parents[3] / "a") and file.symlink_to(file.parents[3] / "a"), "is no file of"),
        (lambda file: (file.parents[1] / PUBLICATION).write_text("{}"), "is no publication"),
    ],
)
def test_verify_finds_damage(folder, capsys, damage, message):
    damage(folder.path_of(3, "delta") / "dense" / "parameters.safetensors")
    lines = run(capsys, "verify", folder, status=1)
    assert [line.split(":")[0] for line in lines] == ["whole", "whole", "whole", "damaged"]
    assert message in lines[3]


def test_verify_finds_a_gap_and_a_current_that_is_missing(folder, capsys):
    publish(folder, 5, "delta", "0" * 64)
    (folder.path / "current").write_text('{"version": 9, "pinned": false}')
    lines = run(capsys, "verify", folder, status=1)
    assert lines[-2].startswith("damaged: ") and "version 4 is missing" in lines[-2]
    assert lines[-1] == "damaged: current is version 9, which is missing"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "{}/no"], "is no folder of publications"),
        (["rollback", "{}"], "required: VERSION"),
        (["rollback", "{}", "9"], "has no version 9"),
        (["release", "{}", "9"], "has no version 9"),
        (["rollback", "{}", "-1"], "version -1|unknown argument|unexpected argument|required"),
        (["rollback", "{}", "0"], "version 0: expected a whole number >= 1"),
        (["rollback", "{}", "two"], "version two: expected a whole number >= 1"),
        (["remove", "{}"], "invalid choice: 'remove'"),
    ],
)
def test_mistakes_are_told_in_one_line(folder, arguments, message):
    with pytest.raises(UserError, match=message) as error:
        main(["publications", *(argument.format(folder.path) for argument in arguments)])
    assert "\n" not in str(error.value)
    assert folder.current() == Current(version=2, pinned=False)


def test_what_cannot_be_served_is_not_pointed_to(folder):
    publish(folder, 5, "delta", "0" * 64)
    for command in (["release"], ["rollback", "5"]):
        with pytest.raises(UserError, match="version 4 is missing"):
            main(["publications", command[0], str(folder.path), *command[1:]])
    assert folder.current() == Current(version=2, pinned=False)
    assert not folder.take_release()
