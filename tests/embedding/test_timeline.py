"""When steps were, against the list of all of them."""

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindspore_rec.embedding.statistics import LAST_STEP
from mindspore_rec.embedding.timeline import Moment, Timeline

MOST = 65_536
#: Steps of a second or more, of less, back in time; and days that end before them.
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.75, 1.0, 3.5, 60.0, -5.0]), st.integers(0, 2)), max_size=40)


def noted(moves):
    """A timeline, and the seconds and days of its steps 1, 2 ...; time that goes back stands still."""
    timeline, now, seconds, days = Timeline(), 1000.0, [], []
    for step, (move, ended) in enumerate(moves, start=1):
        now += move
        timeline.day += ended
        timeline.note(step, now)
        seconds.append(max(now, seconds[-1] if seconds else now))
        days.append(timeline.day)
    return timeline, seconds, days


def test_before_the_first_step():
    timeline = Timeline()
    assert (timeline.now, timeline.moment(5)) == (-np.inf, Moment(5, -np.inf, 0))
    assert (timeline.step_at_seconds(1e12), timeline.step_at_day(0), timeline.step_at_day(9)) == (-1, -1, -1)


@given(STEPS)
def test_times_are_known_to_a_second(moves):
    timeline, seconds, days = noted(moves)
    for step, (then, day) in enumerate(zip(seconds, days), start=1):
        moment = timeline.moment(step)
        assert moment.step == step
        assert abs(moment.seconds - then) <= 1.0
        assert moment.day == day
    steps = np.arange(len(moves) + 3, dtype=np.uint32)
    assert timeline.days(steps).tolist() == [timeline.moment(int(step)).day for step in steps]
    if seconds:
        assert seconds[-1] - 1.0 < timeline.now <= seconds[-1]


@given(STEPS, st.floats(990.0, 1300.0))
def test_no_step_counts_as_earlier_than_it_was(moves, asked):
    """And as later by two seconds at most, but for steps no more than a second before the last one noted."""
    timeline, seconds, _ = noted(moves)
    found = timeline.step_at_seconds(asked)
    exact = bisect_right(seconds, asked)
    assert found <= max(exact, 0) or (found, exact) == (-1, 0)
    if asked <= timeline.now:
        assert max(found, 0) >= bisect_right(seconds, asked - 2.0)


@given(STEPS, st.integers(-1, 90))
def test_days_are_exact(moves, asked):
    timeline, _, days = noted(moves)
    exact = bisect_right(days, asked)
    found = timeline.step_at_day(asked)
    if not days or exact == 0:
        assert found in (-1, 0), "no step is that early"
    else:
        assert found == (LAST_STEP if exact == len(days) else exact)


def test_time_that_goes_back_stands_still():
    timeline = Timeline()
    for step, seconds in enumerate((100.0, 250.0, 120.0, 249.0, 251.5), start=1):
        timeline.note(step, seconds)
    assert [timeline.moment(step).seconds for step in range(1, 6)] == [100.0, 250.0, 250.0, 250.0, 251.5]
    timeline.day += 1
    timeline.note(6, 110.0)
    assert timeline.moment(6) == Moment(6, 251.5, 1)
    assert timeline.now == 251.5


def test_many_steps_of_a_second_then_none_for_long():
    """The last of them was within a second of the first, not just before what came an hour later."""
    timeline = Timeline()
    for step in range(1, 101):
        timeline.note(step, 1000.0 + (step - 1) / 256)
    timeline.note(101, 4600.0)
    assert timeline.step_at_seconds(1000.4) == 1
    assert timeline.step_at_seconds(1001.0) == 100
    assert timeline.step_at_seconds(4599.0) == 100
    assert timeline.step_at_seconds(4600.0) == 101


@given(STEPS, STEPS)
def test_a_timeline_of_a_state_goes_on_as_the_one_it_is_of(before, after):
    whole, seconds, _ = noted(before)
    other = Timeline()
    other.note(7, 5.0)
    other.load_state(whole.state().copy())
    now, step = (seconds or [1000.0])[-1], len(before)
    for move, ended in after:
        now, step = now + move, step + 1
        for timeline in (whole, other):
            timeline.day += ended
            timeline.note(step, now)
    np.testing.assert_array_equal(whole.state(), other.state())
    assert whole.day == other.day


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((0, 3)),
        np.zeros(3),
        np.zeros((2, 2)),
        np.zeros((MOST + 2, 3)),
        np.array([[2, 0, 0], [1, 1, 1], [0, 0, 1]], np.float64),
        np.array([[1, 5, 0], [2, 4, 1], [0, 0, 1]], np.float64),
        np.array([[1, 4, 1], [2, 5, 0], [0, 0, 1]], np.float64),
    ],
    ids=["empty", "flat", "narrow", "long", "steps", "seconds", "days"],
)
def test_a_state_out_of_order_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^table state has no timeline in order$"):
        Timeline().load_state(wrong)


def test_long_ago_is_known_less_exactly_but_days_are_kept():
    timeline, ends, total, length = Timeline(), [], 300_000, 777
    for step in range(1, total + 1):
        timeline.note(step, 10.0 * step)
        if step % length == 0:
            timeline.day += 1
            ends.append(step)
    state = timeline.state()
    assert MOST // 2 < len(state) <= MOST + 1, "it does not grow for ever, and forgets no more than it must"
    assert [timeline.step_at_day(day) for day in range(len(ends))] == ends
    for step in range(1, total, 997):
        moment = timeline.moment(step)
        assert moment.day == (step - 1) // length
        assert 10.0 * step - 10.0 * length <= moment.seconds <= 10.0 * step
        assert step - length < timeline.step_at_seconds(10.0 * step) <= step, "never too early"
    recent = range(total - MOST // 4, total + 1)
    assert [timeline.moment(step).seconds for step in recent] == [10.0 * step for step in recent]
    again = Timeline()
    again.load_state(state)
    again.note(total + 1, 10.0 * total + 10.0)
    assert again.now == 10.0 * total + 10.0
