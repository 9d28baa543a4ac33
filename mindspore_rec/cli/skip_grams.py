"""``python -m mindspore_rec skip-grams``: training rows of recall/word2vec; ``data/skip_grams.py`` describes them.

The last line on stdout is one JSON object.
"""

import json
import sys
from typing import Optional, Sequence

from mindspore_rec.cli.options import load
from mindspore_rec.config import SkipGramConfig
from mindspore_rec.data.skip_grams import write_rows


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write the rows; the exit status.

    Raises:
        UserError: the text cannot be read or has no words, or the rows cannot be written.
    """
    config = load(SkipGramConfig, "Make training rows of recall/word2vec from text.", argv)
    sys.stdout.write(json.dumps({"rows_file": config.rows_file, **write_rows(config)}) + "\n")
    return 0
