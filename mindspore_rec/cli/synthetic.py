"""``python -m mindspore_rec synthetic``: day files of the synthetic stream; ``data/synthetic_days.py`` describes them.

The last line on stdout is one JSON object.
"""

import json
import sys
from typing import Optional, Sequence

from mindspore_rec.cli.options import load
from mindspore_rec.config import SyntheticConfig
from mindspore_rec.data.synthetic_days import write_days


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write the files; the exit status.

    Raises:
        UserError: the folder holds other files, or cannot be written.
    """
    config = load(SyntheticConfig, "Write day files of synthetic clicks, and P(click) of each row beside them.", argv)
    summary = write_days(config)
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0
