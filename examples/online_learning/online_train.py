"""Train Wide&Deep on a stream that never ends: consumer -> channel -> this program -> checkpoints.

    python online_train.py --address=127.0.0.1 --dataset_name=criteo

Ctrl-C or SIGTERM finishes the running step, writes a checkpoint and exits with status 0; the next start goes on there.
The last line on stdout is a JSON summary.
"""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import Any, Dict, List, Optional

from mindspore_rec.checkpoint.folder_lock import held_folders
from mindspore_rec.checkpoint.store import CheckpointStore
from mindspore_rec.cli.options import load, run_cli
from mindspore_rec.config import ModelConfig, TrainConfig
from mindspore_rec.distributed.exchange import Alone, Exchange
from mindspore_rec.logs import quiet_mindspore, setup_logging
from mindspore_rec.process_priority import give_way

logger = logging.getLogger(__name__)
DEFAULT_CONFIG = Path(__file__).with_name("default_config.yaml")


def train(config: TrainConfig, exchange: Optional[Exchange] = None, servers: int = 0) -> Dict[str, Any]:
    """Train until stopped and return the summary.

    Args:
        exchange: between the ranks of a job; rank r reads shard r.
        servers: the last so many ranks own the tables and read no shard; 0: all own a share.
    """
    quiet_mindspore()
    from mindspore import nn
    from mindspore.train import Callback

    from mindspore_rec import RecModel
    from mindspore_rec.metrics.progressive import ProgressiveWindow
    from mindspore_rec.models.rank.wide_deep.model import WideDeep
    from mindspore_rec.monitor.callbacks import monitors
    from mindspore_rec.monitor.publication_figures import PublicationFigures
    from mindspore_rec.serving.gate import PublicationGate
    from mindspore_rec.serving.publication_folder import PublicationFolder
    from mindspore_rec.serving.publisher import Publisher
    from mindspore_rec.serving.trained_model import field_inputs
    from mindspore_rec.train.device import use_device
    from mindspore_rec.train.guard import NonFiniteGuard
    from mindspore_rec.train.hoist import lookup_cells
    from mindspore_rec.train.losses import LogLoss
    from mindspore_rec.train.online_checkpoint import Every, OnlineCheckpoint
    from mindspore_rec.train.progress_line import ProgressLine
    from mindspore_rec.train.resume import resume
    from mindspore_rec.train.row_audit import RowAudit
    from mindspore_rec.train.shard_data import shard_dataset
    from mindspore_rec.train.stop_after import StopAfter
    from mindspore_rec.train.trainer_state import TrainerState
    from mindspore_rec.train.window_monitor import WindowMonitor

    use_device(config.device_target)
    ranks = exchange or Alone()
    owners = range(ranks.size - servers, ranks.size) if servers else range(ranks.size)
    store = CheckpointStore(
        Path(config.checkpoint_path), config.keep_checkpoints, config.keep_every, ranks.rank, ranks.size
    )
    guard = NonFiniteGuard(dead_letters=store.folder / "skipped_batches.jsonl", last_checkpoint=store.newest_path)
    network = WideDeep(config)
    optimizer = nn.Adam(network.trainable_params(), learning_rate=config.dense_learning_rate)
    model = RecModel(
        network,
        LogLoss(),
        optimizer,
        guard=guard,
        exchange=ranks,
        owners=owners,
        exact_rows=config.exact_rows,
        staleness=config.staleness,
    )
    window = ProgressiveWindow(config.metrics_window)
    audit_file = store.folder / "audit" if ranks.rank == 0 else None
    audits = {"audit": RowAudit(audit_file, ranks)} if config.audit_rows else {}
    gates = {"gate": PublicationGate(config)} if config.publish_path else {}
    about = config.model_dump(mode="json", include=set(ModelConfig.model_fields))
    state = TrainerState(model, window, about, {**audits, **gates})
    restored = resume(config.resume, store, state)

    dataset = shard_dataset(config, ranks, ranks.size - servers, model.progress)
    monitor = WindowMonitor(window)
    checkpoint = OnlineCheckpoint(
        store,
        state,
        full=Every(config.checkpoint_steps, config.checkpoint_seconds),
        delta=Every(config.delta_steps, config.delta_seconds),
        restored=restored,
    )
    progress = ProgressLine(window, config.report_seconds)
    callbacks: List[Callback] = [monitor, *audits.values(), checkpoint]
    published = None
    if config.publish_path:
        folder, inputs = PublicationFolder(Path(config.publish_path)), field_inputs(config.num_fields)
        publisher = Publisher(folder, model, config, inputs, {"config": about}, window, gates["gate"])
        callbacks.append(publisher)
        published = PublicationFigures(publisher)
    tables = {lookup.table_name: lookup.table for lookup in lookup_cells(network)}
    if ranks.rank == 0:
        callbacks += [progress, *monitors(config, window, tables, checkpoint, published)]
    if ranks.size > 1:  # a shard does not know how many rows the others have
        callbacks.append(StopAfter(model.progress, config.max_rows))
    try:
        model.online_train(
            dataset,
            callbacks=callbacks,
            dataset_sink_mode=config.dataset_sink_mode,
            sink_size=config.sink_size,
        )
    finally:
        dataset.close()

    first, last = window.first_window(), window.metrics()
    found = {name: table.stats() for name, table in tables.items()}
    return {
        "rows_trained": model.progress.rows_trained,
        "rows_rejected": model.progress.rows_rejected,
        "rows_skipped": model.progress.rows_skipped,
        "auc_first_window": first.auc if first else None,
        "auc_last_window": last.auc,
        "logloss": last.log_loss if last.rows else None,
        "samples_per_s": round(progress.samples_per_s, 1),
        "tables": {
            name: {"rows": stats.rows, "mib": stats.nbytes >> 20, "evicted": stats.evicted, "refused": stats.refused}
            for name, stats in found.items()
        },
        "checkpoint": str(checkpoint.last_path) if checkpoint.last_path else None,
        "last_window_source_rows": monitor.source_rows,
    }


def main() -> int:
    """Read the configuration, train, print the summary."""
    config = load(TrainConfig, "Train Wide&Deep on a stream that never ends.", default_config=DEFAULT_CONFIG)
    give_way(config.nice)
    setup_logging()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, until training takes over both
    try:
        with held_folders(checkpoint_path=config.checkpoint_path, publish_path=config.publish_path):
            summary = train(config)
    except KeyboardInterrupt:
        logger.info("stopped before training began")
        return 0
    print(json.dumps(summary), flush=True)
    return 0


if __name__ == "__main__":
    run_cli(main)
