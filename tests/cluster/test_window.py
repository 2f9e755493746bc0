"""Groups under way: each is trained on once and in time, and the slowest holds up no step but its own."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.window import Window, schedulable


@pytest.mark.parametrize(
    ("due", "fits"),
    [
        ([], True),
        ([5, 5], True),  # two in the one step that follows step 4
        ([5, 5, 5], False),  # three do not fit into it
        ([5, 6, 6, 6], True),  # one and three: four in two steps
        ([6, 6, 6, 6, 6], False),
        ([4], False),  # due in the step that is over
    ],
)
def test_what_is_left_after_step_four_must_fit_into_the_steps_that_follow(due, fits) -> None:
    assert schedulable(Counter(due), step=4, per_step=2) is fits


def _group(place: int) -> Any:
    return SimpleNamespace(place=place)


def _taken(window: Window, complete: list[int], count: int, step: int) -> list[int] | None:
    """The places that are taken once these are complete; None if the window waits for more."""

    async def work() -> list[int] | None:
        for place in complete:
            window.generated(place)
            await window.put(place, _group(place))
        try:
            groups, _ = await asyncio.wait_for(window.take(count, step), 0.01)
        except TimeoutError:
            return None
        return [group.place for group in groups]  # type: ignore[attr-defined]

    return asyncio.run(work())


def test_without_staleness_a_step_takes_its_own_groups_in_the_order_they_were_asked_for() -> None:
    window = Window(per_step=3, max_staleness=0)
    assert [window.ask(0) for _ in range(3)] == [0, 1, 2]
    assert _taken(window, [2, 0], 2, 0) is None  # the third is due now, too
    assert _taken(window, [1], 3, 0) == [0, 1, 2]


def test_with_staleness_the_slowest_group_does_not_hold_up_the_step() -> None:
    window = Window(per_step=2, max_staleness=1)
    for _ in range(4):
        window.ask(0)
    assert _taken(window, [3, 1], 2, 0) == [1, 3]
    # In step 1 the two that are left are due: the later ones have to wait, although they are complete.
    window.ask(1)
    window.ask(1)
    assert _taken(window, [4, 5, 0], 2, 1) is None
    assert _taken(window, [2], 2, 1) == [0, 2]
    assert _taken(window, [], 2, 2) == [4, 5]


async def _in_any_order(window: Window, per_step: int, staleness: int, steps: int, chance) -> dict[int, int]:
    """Place -> steps between asking and training, of a run in which groups end in the order that ``chance`` gives."""
    asked: dict[int, int] = {}
    ages: dict[int, int] = {}
    under_way: list[int] = []
    for step in range(steps):
        count = min(1 + staleness, steps) if step == 0 else int(step + staleness < steps)
        for _ in range(count * per_step):
            under_way.append(window.ask(step))
            asked[under_way[-1]] = step
        taking = asyncio.create_task(window.take(per_step, step))
        while not taking.done():
            if under_way:
                place = under_way.pop(chance.randrange(len(under_way)))
                window.generated(place)
                await window.put(place, _group(place))
            for _ in range(3):
                await asyncio.sleep(0)
        ages |= {group.place: step - asked[group.place] for group in taking.result()[0]}  # type: ignore[attr-defined]
    assert sorted(ages) == sorted(asked)
    return ages


@given(st.integers(1, 4), st.integers(0, 3), st.integers(1, 6), st.randoms(use_true_random=False))
def test_in_whatever_order_groups_end_each_is_taken_once_and_in_time(per_step, staleness, steps, chance) -> None:
    window = Window(per_step=per_step, max_staleness=staleness)
    run = _in_any_order(window, per_step, staleness, steps, chance)
    ages = asyncio.run(asyncio.wait_for(run, 10))
    assert len(ages) == steps * per_step
    assert max(ages.values()) <= staleness
