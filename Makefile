.PHONY: setup lint test bench

setup:
	bash scripts/setup.sh

lint: setup
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

test:
	bash scripts/test.sh

bench: setup
	.venv/bin/python benchmarks/features.py
	.venv/bin/python benchmarks/learning.py
	.venv/bin/python benchmarks/online_training.py
