"""Each sparse optimizer once more, in plain NumPy and float64, from its published formula.

An oracle takes weights and slots float64[n, values], gradients float64[n, dim] and the factors of the learning rate
float64[n, 1]; it returns the new weights and slots. Bounds are left to `after_update`.
"""

import numpy as np

from mindspore_rec.embedding.optimizers import FTRL, SGD, Adagrad, LazyAdam, SharedAdagrad


def sgd(o, w, slots, g, step, rates):
    return w - o.learning_rate * rates * g, slots


def adagrad(o, w, slots, g, step, rates):
    (s,) = slots
    s = s + g**2
    return w - o.learning_rate * rates * np.divide(g, np.sqrt(s), out=np.zeros_like(g), where=g != 0), (s,)


def shared_adagrad(o, w, slots, g, step, rates):
    (s,) = slots
    w = w - o.learning_rate * rates * g * np.sqrt(o.initial_g2sum / (o.initial_g2sum + s))
    return w, (s + np.mean(g**2, axis=1, keepdims=True),)


def lazy_adam(o, w, slots, g, step, rates):
    m, v = slots
    m = o.beta1 * m + (1 - o.beta1) * g
    v = o.beta2 * v + (1 - o.beta2) * g**2
    rate = o.learning_rate * rates * np.sqrt(1 - o.beta2**step) / (1 - o.beta1**step)
    return w - rate * m / (np.sqrt(v) + o.epsilon), (m, v)


def ftrl(o, w, slots, g, step, rates):
    z, n = slots
    alpha = o.alpha * rates
    sigma = (np.sqrt(n + g**2) - np.sqrt(n)) / alpha
    z = z + g - sigma * w
    n = n + g**2
    learned = -(z - np.sign(z) * o.l1) / ((o.beta + np.sqrt(n)) / alpha + o.l2)
    return np.where(np.abs(z) <= o.l1, 0.0, learned), (z, n)


ORACLES = {SGD: sgd, Adagrad: adagrad, SharedAdagrad: shared_adagrad, LazyAdam: lazy_adam, FTRL: ftrl}
UNBOUNDED = [
    SGD(0.1),
    Adagrad(0.05),
    Adagrad(0.05, 0.0),
    SharedAdagrad(),
    SharedAdagrad(0.5, 0.1),
    LazyAdam(0.01),
    FTRL(0.1),
    FTRL(0.1, 1.0, l1=0.3, l2=0.1),
]
BOUNDED = [
    SGD(0.1, weight_bounds=(-0.25, 0.5)),
    Adagrad(0.05, weight_bounds=(-0.25, 0.5)),
    SharedAdagrad(weight_bounds=(-0.25, 0.5)),
    LazyAdam(0.01, weight_bounds=(-0.25, 0.5)),
    FTRL(0.1, weight_bounds=(-0.02, 0.05)),
    FTRL(0.1, l1=0.3, weight_bounds=(0.01, 0.05)),
]
EXAMPLES = [*UNBOUNDED, *BOUNDED]


def first_slots(optimizer, count, dim):
    """The slots of `count` new rows as the publications begin, float64[count, 1 or dim] each."""
    if isinstance(optimizer, SharedAdagrad):
        return [np.zeros((count, 1))]
    first = [optimizer.initial_accumulator] if isinstance(optimizer, Adagrad) else []
    zeros = {LazyAdam: 2, FTRL: 2}.get(type(optimizer), 0)
    return [np.full((count, dim), value) for value in [*first, *[0.0] * zeros]]


def after_update(optimizer, w, slots, g, step, rates):
    """Return (weights, slots) after one update, within the bounds."""
    w, slots = ORACLES[type(optimizer)](optimizer, w, slots, g, step, rates)
    return (w if optimizer.weight_bounds is None else np.clip(w, *optimizer.weight_bounds)), slots
