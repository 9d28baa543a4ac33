import pytest

from mindspore_rec.published_file import published


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with published(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.name[0] == ".", "hidden from a user's patterns"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_goes_wrong_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail():
        with published(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
