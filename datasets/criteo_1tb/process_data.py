"""Turn Criteo's click logs into what training needs: statistics, dictionaries, MindRecord or Parquet files.

    python process_data.py --data_path DIR --part_num 24

DIR holds day_0, day_1, ... as they are or as .gz. Interrupted work goes on where it was. The last line on stdout is a
JSON summary.
"""

from __future__ import annotations

import json

from mindspore_rec.cli.options import load, run_cli
from mindspore_rec.config import ProcessConfig
from mindspore_rec.data.processing import process
from mindspore_rec.logs import setup_logging


def main() -> int:
    """Read the configuration, process, print the summary."""
    config = load(ProcessConfig, "Statistics, dictionaries and training files of Criteo's click logs.")
    setup_logging()
    print(json.dumps(process(config)), flush=True)
    return 0


if __name__ == "__main__":
    run_cli(main)
