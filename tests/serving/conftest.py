"""Networks of the same initial weights in every run."""

import mindspore as ms
import pytest


@pytest.fixture(autouse=True)
def _seeded() -> None:
    ms.set_seed(5)
