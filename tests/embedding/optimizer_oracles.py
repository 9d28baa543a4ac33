"""Each sparse optimizer once more, in plain NumPy and float64, from its published formula."""

import numpy as np

from mindspore_rec.embedding.optimizers import FTRL, SGD, Adagrad, LazyAdam


def sgd(o, w, slots, g, step):
    return w - o.learning_rate * g, slots


def adagrad(o, w, slots, g, step):
    (s,) = slots
    s = s + g**2
    return w - o.learning_rate * np.divide(g, np.sqrt(s), out=np.zeros_like(g), where=g != 0), (s,)


def lazy_adam(o, w, slots, g, step):
    m, v = slots
    m = o.beta1 * m + (1 - o.beta1) * g
    v = o.beta2 * v + (1 - o.beta2) * g**2
    rate = o.learning_rate * np.sqrt(1 - o.beta2**step) / (1 - o.beta1**step)
    return w - rate * m / (np.sqrt(v) + o.epsilon), (m, v)


def ftrl(o, w, slots, g, step):
    z, n = slots
    sigma = (np.sqrt(n + g**2) - np.sqrt(n)) / o.alpha
    z = z + g - sigma * w
    n = n + g**2
    learned = -(z - np.sign(z) * o.l1) / ((o.beta + np.sqrt(n)) / o.alpha + o.l2)
    return np.where(np.abs(z) <= o.l1, 0.0, learned), (z, n)


ORACLES = {SGD: sgd, Adagrad: adagrad, LazyAdam: lazy_adam, FTRL: ftrl}
EXAMPLES = [SGD(0.1), Adagrad(0.05), Adagrad(0.05, 0.0), LazyAdam(0.01), FTRL(0.1), FTRL(0.1, 1.0, l1=0.3, l2=0.1)]
