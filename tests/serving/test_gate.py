"""What the gate holds back and what it lets through, on streams of made-up clicks."""

import numpy as np
import pytest

from mindspore_rec.config import GateConfig
from mindspore_rec.metrics import auc, calibration, log_loss
from mindspore_rec.serving.gate import PublicationGate
from tests.source_tree import REPOSITORY

INTERVALS = 100


def config(**options):
    return GateConfig(**{"gate_min_rows": 1, **options})


def figures(labels, probabilities):
    return {
        "rows": float(labels.size),
        "clicks": float(labels.sum()),
        "auc": auc(labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
        "calibration": calibration(labels, probabilities),
    }


def expit(z):
    return 1 / (1 + np.exp(-z))


def stream(seed, intervals=INTERVALS):
    """Labels and predictions: the rate of clicks goes up and down, the model learns steeply, then lags a bit behind."""
    rng = np.random.default_rng(seed)
    center, bias = -1.5, 0.0
    for k in range(intervals):
        center += rng.normal(0, 0.02)
        bias = 0.8 * bias + rng.normal(0, 0.01)
        rows = int(rng.integers(2000, 8000))
        truth = center + 0.3 * np.sin(k / 15) + rng.normal(0, 1.2, rows)
        learned = 1 - np.exp(-(k + 1) / 8)  # what is known of the deviations from the mean
        seen = center + learned * (truth - center) + bias + (0.5 if k == 0 else 0.0)
        yield (rng.random(rows) < expit(truth)).astype(float), expit(seen)


def flip(labels, probabilities, rng):
    return 1 - labels, probabilities


def no_clicks(labels, probabilities, rng):
    return 0 * labels, probabilities


def noise(labels, probabilities, rng):
    other = rng.permutation(probabilities)
    return labels, np.where(rng.random(labels.size) < 0.4, other, probabilities)


def too_high(labels, probabilities, rng):
    return labels, np.minimum(probabilities * 1.6, 0.99)


def too_low(labels, probabilities, rng):
    return labels, probabilities * 0.6


@pytest.mark.parametrize("known", [True, False], ids=["clicks", "no clicks"])
@pytest.mark.parametrize("seed", range(8))
def test_a_healthy_stream_is_not_held(seed, known):
    gate = PublicationGate(config())
    for labels, probabilities in stream(seed):
        found = figures(labels, probabilities)
        if not known:
            del found["clicks"]
        assert gate.judge(found) == ""


@pytest.mark.parametrize("fault", [flip, no_clicks, noise, too_high, too_low], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_a_fault_is_held_at_once_and_no_longer_than_it_lasts(seed, fault):
    gate, rng = PublicationGate(config()), np.random.default_rng(seed)
    held = []
    for k, (labels, probabilities) in enumerate(stream(seed)):
        if 50 <= k < 70:
            labels, probabilities = fault(labels, probabilities, rng)
        held.append(bool(gate.judge(figures(labels, probabilities))))
    assert not any(held[:50]) and not any(held[70:])
    assert any(held[50:53]) and sum(held[50:70]) >= 15


def steady(gate, count=30, **changes):
    """Intervals that are all alike, but for the changes to the last one; the last verdict."""
    found = {"rows": 10_000.0, "clicks": 2500.0, "auc": 0.75, "log_loss": 0.45, "calibration": 1.0}
    for _ in range(count):
        assert gate.judge(found) == ""
    return gate.judge({**found, **changes})


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"auc": 0.60}, "auc 0.6000 is below 0.7134, the lower end of its band"),
        ({"log_loss": 0.60}, "log_loss 0.6000 is above 0.4898, the upper end of its band"),
        ({"calibration": 0.5}, "calibration 0.5000 is below 0.8961, the lower end of its band"),
        ({"calibration": 1.5}, "calibration 1.5000 is above 1.1039, the upper end of its band"),
        ({"auc": float("nan")}, "auc is nan"),
        ({"auc": 0.95, "log_loss": 0.2}, ""),
    ],
)
def test_verdicts_name_figure_and_limit(changes, verdict):
    assert steady(PublicationGate(config()), **changes) == verdict


def test_a_verdict_names_all_that_is_wrong_in_one_line():
    verdict = steady(PublicationGate(config()), auc=0.3, calibration=0.1)
    assert verdict.startswith("auc 0.3000 is below") and "; calibration 0.1000 is below" in verdict
    assert "\n" not in verdict


def test_figures_outside_do_not_move_the_band():
    gate = PublicationGate(config())
    before = steady(gate, auc=0.6)
    for _ in range(200):
        assert gate.judge({"rows": 10_000.0, "auc": 0.6, "log_loss": 0.45, "calibration": 1.0}) == before
    assert gate.judge({"rows": 10_000.0, "auc": 0.75, "log_loss": 0.45, "calibration": 1.0}) == ""


def test_small_changes_pass_however_many_rows_there_are():
    changes = {"rows": 1e12, "clicks": 1e11, "auc": 0.744, "log_loss": 0.454, "calibration": 1.009}
    assert steady(PublicationGate(config()), **changes) == ""
    assert steady(PublicationGate(config(gate_tolerance=0.0)), **changes) != ""


def test_short_intervals_are_gathered_and_the_verdict_before_holds():
    gate = PublicationGate(config(gate_min_rows=1000))
    held = steady(gate, auc=0.5)
    part = {"rows": 400.0, "clicks": 100.0, "log_loss": 0.45, "calibration": 1.0}
    assert gate.judge({**part, "auc": 0.8}) == held
    assert gate.judge({**part, "auc": 0.7}) == held
    assert gate.judge({"rows": 0.0}) == held
    assert gate.judge({}) == held
    assert gate.judge({**part, "auc": 0.75}) == ""
    assert gate.judge({**part, "auc": 0.0}) == ""  # of 400 rows nothing can be said
    assert gate.judge({**part, "auc": 0.0}) == ""
    assert gate.judge({**part, "auc": 0.0}).startswith("auc 0.0000")


def test_a_short_interval_has_a_wide_band():
    changes = {"rows": 200.0, "clicks": 50.0, "auc": 0.6, "calibration": 1.4}
    assert steady(PublicationGate(config()), **changes) == ""
    assert steady(PublicationGate(config()), **{**changes, "rows": 2e5, "clicks": 5e4}) != ""


def test_a_release_begins_anew_at_what_is_seen():
    gate = PublicationGate(config())
    steady(gate, auc=0.6)
    gate.release()
    assert gate.verdict == ""
    found = {"rows": 10_000.0, "auc": 0.6, "log_loss": 0.45, "calibration": 1.0}
    assert {gate.judge(found) for _ in range(30)} == {""}
    assert gate.judge({**found, "auc": 0.5}) != ""


def test_what_is_not_known_is_not_judged():
    gate = PublicationGate(config())
    assert {gate.judge({"rows": 1e4, "auc": 0.7}) for _ in range(40)} == {""}
    assert {gate.judge({"rows": 1e4, "log_loss": 0.4}) for _ in range(40)} == {""}


def test_a_width_of_0_is_no_gate():
    gate = PublicationGate(config(gate_width=0))
    assert steady(gate, auc=0.0, log_loss=9.0) == ""
    assert not gate.state()["bands"][:, 0].any()


@pytest.mark.parametrize("cut", [1, 13, 55, 60])
def test_a_restored_gate_goes_on_to_the_bit(cut):
    options = config(gate_min_rows=7000)
    whole, first, second = (PublicationGate(options) for _ in range(3))
    rng = np.random.default_rng(0)
    intervals = [flip(*pair, rng) if 50 <= k < 60 else pair for k, pair in enumerate(stream(1, 80))]
    verdicts = [whole.judge(figures(*pair)) for pair in intervals]
    for pair in intervals[:cut]:
        first.judge(figures(*pair))
    second.load_state(first.state())
    assert second.verdict == first.verdict
    assert [second.judge(figures(*pair)) for pair in intervals[cut:]] == verdicts[cut:]
    for name, array in second.state().items():
        assert array.tobytes() == whole.state()[name].tobytes()


@pytest.mark.parametrize("part", ["bands", "gathered", "verdict"])
def test_a_state_that_is_none_is_refused(part):
    state = PublicationGate(config()).state()
    with pytest.raises(KeyError):
        PublicationGate(config()).load_state({name: array for name, array in state.items() if name != part})
    if part != "verdict":
        with pytest.raises(ValueError, match="gate"):
            PublicationGate(config()).load_state({**state, part: state[part][:1]})


def test_keys_are_those_of_the_document():
    text = (REPOSITORY / "docs" / "gate.md").read_text("utf-8")
    for key, field in GateConfig.model_fields.items():
        assert f"| `{key}` | {field.default} | {field.description} |\n" in text


def test_a_state_can_be_kept_before_anything_was_seen():
    assert all(np.isfinite(array).all() for array in PublicationGate(GateConfig()).state().values())
