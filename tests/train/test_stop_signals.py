"""Signals while the main thread is where Python runs no handler, in a process of its own."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, sys, threading
from mindspore_rec.train.stop_signals import StopSignals

lock = ctypes.CDLL(None).usleep  # a C call: no handler runs until it returns
stopped = threading.Event()
with StopSignals(stopped.set) as signals:
    print("ready", flush=True)
    while not stopped.is_set() or sys.argv[1] == "deaf":
        lock(100_000)
print("stopped", signals.requested.is_set(), flush=True)
"""


def start(mode):
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, mode], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks(number):
    process = start("listening")
    process.send_signal(number)
    assert process.communicate(timeout=30)[0] == "stopped True\n"
    assert process.returncode == 0


def test_the_second_one_ends_the_process():
    process = start("deaf")
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 128 + signal.SIGTERM
