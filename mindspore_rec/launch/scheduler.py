"""``python -m mindspore_rec.launch.scheduler``: the scheduler of dynamic networking, which holds nothing but names."""

from __future__ import annotations

import sys

from mindspore_rec.distributed.exchange import ExchangeError
from mindspore_rec.distributed.framework_exchange import run_scheduler
from mindspore_rec.logs import quiet_mindspore


def main() -> int:
    """Serve until all ranks have left; the exit status."""
    quiet_mindspore()
    try:
        run_scheduler()
    except ExchangeError as error:
        sys.stderr.write(f"scheduler: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
