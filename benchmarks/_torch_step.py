"""The same Wide&Deep step in PyTorch: sparse embedding gradients, SparseAdam on the rows, Adam on the dense part."""

from __future__ import annotations

from typing import Callable, Optional

import numpy as np

from mindspore_rec.config import ModelConfig


def torch_step(
    config: ModelConfig, vocabulary: int
) -> Optional[Callable[[np.ndarray, np.ndarray, np.ndarray], float]]:
    """Return `step(ids, weights, labels)` over ids below `vocabulary`, None where PyTorch is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.manual_seed(1)
    deep = torch.nn.Embedding(vocabulary, config.emb_dim, sparse=True)
    wide = torch.nn.Embedding(vocabulary, 1, sparse=True)
    torch.nn.init.uniform_(deep.weight, -0.01, 0.01)
    torch.nn.init.zeros_(wide.weight)
    sizes = [config.num_fields * config.emb_dim, *config.layers]
    layers = [m for a, b in zip(sizes, sizes[1:]) for m in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    mlp = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))
    dense = torch.optim.Adam(mlp.parameters(), lr=1e-3)
    sparse = torch.optim.SparseAdam([*deep.parameters(), *wide.parameters()], lr=1e-3)
    loss_fn = torch.nn.BCEWithLogitsLoss()

    def step(ids: np.ndarray, weights: np.ndarray, labels: np.ndarray) -> float:
        rows, scale = torch.from_numpy(ids), torch.from_numpy(weights).unsqueeze(-1)
        logits = (wide(rows) * scale).sum(1) + mlp((deep(rows) * scale).flatten(1))
        loss = loss_fn(logits, torch.from_numpy(labels))
        dense.zero_grad()
        sparse.zero_grad()
        loss.backward()
        dense.step()
        sparse.step()
        return float(loss)

    return step
