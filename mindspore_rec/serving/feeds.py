"""Which slots an exported graph is given, and that the variables it returns depend on no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Sequence, Tuple

import numpy as np

from mindspore_rec.config import ConfigError
from mindspore_rec.serving.packed_network import PackedNetwork

_TRIAL_ROWS = 8
_FAR = np.float32(8.0)


@dataclass(frozen=True)
class Feeds:
    """What a graph is given and returns.

    Attributes:
        names: of the slots it is given.
        slots: their columns of the ids.
        numbers: their columns of the second input.
        targets: places of the variables it returns among all.
    """

    names: Tuple[str, ...]
    slots: Tuple[int, ...]
    numbers: Tuple[int, ...]
    targets: Tuple[int, ...]


def choose_feeds(network: PackedNetwork, feed: Sequence[str], fetch: Sequence[str]) -> Feeds:
    """Return the feeds of some slots and variables.

    Args:
        network: what is exported.
        feed: names of slots; none: all.
        fetch: names of variables.

    Raises:
        ConfigError: there is no such slot or variable, or a variable depends on a slot that is not fed.
    """
    for name in fetch:
        if name not in network.names:
            raise ConfigError(
                f"inference model: variable {name!r} is none of the model's, which are {', '.join(network.names)}"
            )
    if not fetch:
        raise ConfigError("inference model: no variable is fetched, expected at least one")
    slots, numbers = network.inputs.chosen(feed)
    fed = set(feed or network.inputs.names)
    names = tuple(name for name in network.inputs.names if name in fed)
    feeds = Feeds(names, slots, numbers, tuple(network.names.index(name) for name in dict.fromkeys(fetch)))
    others = [name for name in network.inputs.names if name not in fed]
    needed = _needed(network, feeds.targets, others)
    if needed:
        variables = ", ".join(network.names[place] for place in feeds.targets)
        shown = ", ".join(map(repr, needed[:5])) + (", ..." if len(needed) > 5 else "")
        raise ConfigError(f"inference model: {variables} depends on slot {shown}, expected among those that are fed")
    return feeds


def _needed(network: PackedNetwork, targets: Sequence[int], names: Sequence[str]) -> List[str]:
    """Those of some slots whose values change a target: far ones, or NaN, which spreads past weights of zero."""
    rng = np.random.default_rng(0)
    rows, numbers = network.trial(rng, _TRIAL_ROWS)
    places = network.inputs.places
    far = [_FAR * part for part in network.trial(rng, _TRIAL_ROWS)]
    nowhere = [np.full_like(part, np.nan) for part in far]

    def outputs(others: Sequence[np.ndarray], replaced: Sequence[str]) -> List[np.ndarray]:
        changed = [rows.copy(), numbers.copy()]
        for name in replaced:
            for part, other, columns in zip(changed, others, places[name]):
                part[:, list(columns)] = other[:, list(columns)]
        found = network.run(*changed)
        return [found[place] for place in targets]

    return _that_matter(lambda replaced: [outputs(others, replaced) for others in (far, nowhere)], names)


def _that_matter(outputs: Callable[[Sequence[str]], List[List[np.ndarray]]], names: Sequence[str]) -> List[str]:
    """Those of some names that change outputs, found by halves."""
    before = outputs([])

    def search(names: Sequence[str]) -> List[str]:
        after = outputs(names)
        pairs = [pair for one, other in zip(before, after) for pair in zip(one, other)]
        if all(np.array_equal(one, other, equal_nan=True) for one, other in pairs):
            return []
        if len(names) == 1:
            return list(names)
        half = len(names) // 2
        return [*search(names[:half]), *search(names[half:])] or list(names)

    return search(names) if names else []
