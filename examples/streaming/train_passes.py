"""Train pass by pass in a loop of your own; `python -m mindspore_rec.run -m CONFIG` is the same loop, ready made.

    python train_passes.py CONFIG              CONFIG: YAML with one runner of class online_train and one phase
    mpirun -n 2 python train_passes.py CONFIG  the same by two ranks

With `save_policy: hourly` the pass of hour 0 is followed by a checkpoint, those of the other hours by what changed.
"""

from __future__ import annotations

import argparse
import logging
from functools import partial

from mindspore_rec.cli.job import load_job
from mindspore_rec.cli.job_exporter import exporter_of
from mindspore_rec.cli.options import run_cli
from mindspore_rec.cli.phase_model import model_of
from mindspore_rec.config import ConfigError
from mindspore_rec.distributed.ranks import Ranks, open_exchange
from mindspore_rec.job_config import OnlineRunner
from mindspore_rec.logs import quiet_mindspore, setup_logging


def main() -> int:
    """Train all passes that are left; the exit status."""
    parser = argparse.ArgumentParser(description="Train pass by pass.")
    parser.add_argument("config", help="YAML file of the job, or its folder")
    job = load_job(parser.parse_args().config)
    ranks = Ranks.of_environment()
    setup_logging(logging.INFO if ranks.rank == 0 else logging.WARNING)
    quiet_mindspore()
    from mindspore_rec.train.device import use_device
    from mindspore_rec.train.pass_model import PassModel
    from mindspore_rec.train.place import Place

    use_device("CPU")
    runner = job.runners[0]
    phase, config = runner.phases[0], runner.config
    if not isinstance(config, OnlineRunner):
        raise ConfigError(f"class = {config.runner_class}: expected online_train")
    exchange = open_exchange(ranks)
    model = PassModel(config, phase.dataset, model_of(job, phase), partial(exporter_of, config), Place(exchange))

    with model.saver.held():
        model.restore()
        parts = model.parts()
        model.catch_up()
        for part in parts:
            before = model.predict_part(part)
            after = model.train_part(part)
            if after is None:  # Ctrl-C or SIGTERM came: the next start trains this pass again
                break
            if ranks.rank == 0:
                auc = f"AUC {before.summary().auc:.4f} before it was trained, {after.summary().auc:.4f} while it was"
                print(f"{part.key.day} pass {part.key.number}: {auc}", flush=True)
            model.save(part)
    exchange.close()
    return 0


if __name__ == "__main__":
    run_cli(main)
