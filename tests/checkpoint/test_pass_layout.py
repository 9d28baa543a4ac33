"""Folders of checkpoints and exports."""

from __future__ import annotations

import pytest

from mindspore_rec.checkpoint.pass_layout import (
    base_folder,
    checkpoint_folder,
    day_start,
    delta_folder,
    inference_folder,
    key_of,
)
from mindspore_rec.stream.pass_schedule import PassKey, next_day

KEY = PassKey("20191231", 12)


def test_the_folders_of_a_pass_and_of_the_end_of_a_day() -> None:
    assert checkpoint_folder(KEY) == "20191231/12"
    assert delta_folder(KEY) == "20191231/delta-12"
    assert inference_folder(KEY) == "20191231/inference_model_12"
    following = next_day(KEY.day)
    assert base_folder(following) == "20200101/base"
    assert checkpoint_folder(day_start(following)) == "20200101/0"


@pytest.mark.parametrize("key", [KEY, PassKey("20191231", 1440), day_start("20200101")])
def test_a_checkpoint_is_known_by_its_folder(key: PassKey) -> None:
    for path in (checkpoint_folder(key), f"/a/b/{checkpoint_folder(key)}/"):
        assert key_of(path) == key


@pytest.mark.parametrize(
    "path",
    [
        *("", "20191231", "20191231/base", delta_folder(KEY), "20191399/1", "20191231/01", "120191231/1"),
        *("x20191231/1", "20190720/" + "1" * 5000, "20190720/10000"),
    ],
)
def test_what_is_no_checkpoint(path: str) -> None:
    assert key_of(path) is None
