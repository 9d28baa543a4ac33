"""Settings of every test, doctests included: cases, order, and memory."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Iterator, List

import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)  # first calls compile; the same cases every run
settings.load_profile("steady")

# The files that take longest, longest first: processes that begin with them end at the same time (scripts/test.sh).
LONGEST = (
    "examples/test_pipeline.py",
    "models/test_rank_models.py",
    "launch/test_launch.py",
    "stream/test_faults.py",
    "serving/test_export.py",
    "serving/test_built_in_models.py",
    "stream/test_consumer.py",
    "cli/test_export.py",
    "train/test_pass_loop.py",
    "train/test_online_checkpoint.py",
    "train/test_epoch_runner.py",
    "train/test_variables_step.py",
    "stream/test_kafka_clients.py",
    "train/test_step.py",
    "stream/test_producer.py",
    "stream/test_dataset.py",
    "train/test_rec_model.py",
    "train/test_table_rules.py",
    "datasets/test_process_data.py",
    "train/test_pass_dumps.py",
    "data/test_mindrecord.py",
    "stream/test_brokers.py",
    "serving/test_consistency.py",
    "train/test_pass_run.py",
    "test_run.py",
    "data/test_convert.py",
    "stream/test_channel.py",
    "train/test_bags_in_lookups.py",
    "serving/test_packed_network.py",
    "train/test_pass_model.py",
    "models/test_recall_models.py",
    "models/test_slot_embedding.py",
    "features/test_engines.py",
    "train/test_readme_example.py",
    "examples/test_train_passes.py",
    "serving/test_trained_model.py",
)


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Put the longest files first; else tests keep their order."""
    tests = Path(__file__).parent / "tests"
    place = {tests / name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    """Spare the garbage collector all modules and tests: MindSpore runs it before each compilation, for as long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    """Free the tables of a file's networks, 23 GB of address space each.

    MindSpore 2.10 never frees a compiled cell that calls another one with ``*inputs``, nor what is in it.
    """
    yield
    gc.collect()
    lookup = sys.modules.get("mindspore_rec.embedding.lookup")
    if lookup is not None:
        for left in gc.get_objects():  # what was made since the last freeze
            if issubclass(type(left), lookup.HashEmbeddingLookup):
                object.__setattr__(left, "table", None)
        gc.collect()
    gc.freeze()
