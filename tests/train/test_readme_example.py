"""The README's own model trains as it stands."""

import re
import subprocess
import sys

import pytest

from tests.source_tree import REPOSITORY

DATASET = """
import numpy as np
from mindspore.dataset import GeneratorDataset

def batches():
    rng = np.random.default_rng(0)
    for _ in range(3):
        ids = rng.integers(-9, 9, (64, 39))
        yield ids, rng.random((64, 39), np.float32), (rng.random((64, 1)) < 0.3).astype(np.float32)

dataset = GeneratorDataset(batches, ["id", "weight", "label"], shuffle=False)
"""


@pytest.mark.parametrize("readme", ["README.md", "README_CN.md"])
def test_the_model_of_the_readme_trains(readme, tmp_path):
    (example,) = re.findall(r"^```python\n(.*?)^```$", (REPOSITORY / readme).read_text("utf-8"), re.M | re.S)
    program = tmp_path / "example.py"
    program.write_text(f"{DATASET}\n{example}\nprint(model.progress.rows_trained)\n", "utf-8")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split()[-1:] == ["192"], done.stderr[-2000:]
