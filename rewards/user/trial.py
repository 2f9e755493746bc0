"""One call of a user's own reward before the run, with a made-up example and its right answer."""

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from threading import Thread
from typing import Any

from rewards.user.background_loop import leave_loop
from rewards.user.custom import OF_EVERY_REWARD, CustomReward, Form, Range, load
from rnr.types import Answer, Example, Group, Mention, Prompt, Reward, Rollout, ScoredGroup, Segment

_CITY = Mention(text="London", label="city", start=25, end=31)
_PERSON = Mention(text="Ada Lovelace", label="person", start=0, end=12)
_TRIAL = Example(
    uid="trial",
    sentence="Ada Lovelace was born in London .",
    schema=("city", "person"),
    mentions=(_PERSON, _CITY),
    source="trial",
)
_RIGHT = Answer(reasoning="[Ada Lovelace: person] was born in [London: city] .", mentions=(_CITY, _PERSON))
_TEXT = f'<think>\n{_RIGHT.reasoning}\n</think>\n{{"entities": {{"city": ["London"], "person": ["Ada Lovelace"]}}}}'


def check(
    use: str,
    bounds: Range,
    arguments: Mapping[str, Any] | None = None,
    *,
    seconds: float,
    parts: Sequence[str] = OF_EVERY_REWARD,
) -> None:
    """Raises ValueError with the problem that ``trial`` finds, if any."""
    if problem := trial(use, bounds, arguments, seconds=seconds, parts=parts):
        raise ValueError(problem)


def trial(
    use: str,
    bounds: Range,
    arguments: Mapping[str, Any] | None = None,
    *,
    seconds: float = 60.0,
    parts: Sequence[str] = OF_EVERY_REWARD,
) -> str:
    """The problem with the reward, from one call with the right answer to a made-up example: it cannot be loaded, or
    returns no number within ``bounds`` within ``seconds``, including model loading. Empty if there is none. ``parts``
    are the names of the reward parts that it finds in a group. A reward without arguments is cached for ``load``.

    It never raises, and its arguments and result are plain values: any process that will call the reward can run it.
    """
    try:
        own = CustomReward(use, arguments) if arguments else load(use)
    except ValueError as problem:
        return str(problem)
    outcome: list[list[float | str]] = []

    def call() -> None:
        with suppress(TimeoutError):
            outcome.append(own.values(_made_up(own.form, parts), bounds, seconds))

    # A hanging thread cannot be stopped; as a daemon it at least does not block the exit of the process.
    thread = Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    values = outcome[0] if outcome else None
    if values is None:
        leave_loop()
    return _verdict(own, values, seconds)


async def trial_here(
    own: CustomReward,
    bounds: Range,
    executor: Executor | None,
    *,
    seconds: float,
    parts: Sequence[str] = OF_EVERY_REWARD,
) -> str:
    """As ``trial``, in the thread that will call the reward, and in the same way as in the run."""
    try:
        call = own.values_async(_made_up(own.form, parts), bounds, executor)
        return _verdict(own, await asyncio.wait_for(call, seconds), seconds)
    except TimeoutError:
        leave_loop()
        return _verdict(own, None, seconds)


def _made_up(form: Form, parts: Sequence[str]) -> ScoredGroup:
    segment = Segment(token_ids=(0, 1), logprobs=(-0.5, -0.5), policy_version=0)
    count = 2 if form == "(scored)" else 1
    rollouts = (Rollout(segments=(segment,), text=_TEXT, finished=True),) * count
    group = Group(prompt=Prompt(example=_TRIAL, token_ids=(0,)), rollouts=rollouts)
    reward = Reward(total=1.0, parts=dict.fromkeys(parts, 1.0))
    return ScoredGroup(group=group, answers=(_RIGHT,) * count, rewards=(reward,) * count)


def _verdict(own: CustomReward, values: Sequence[float | str] | None, seconds: float) -> str:
    late = f"no answer within {seconds:g} s"
    problem = late if values is None else next((value for value in values if isinstance(value, str)), "")
    if not problem:
        return ""
    kinds = {"scored": "ScoredGroup", "example": "Example", "answer": "Answer", "rollout": "Rollout"}
    taken = ", ".join(f"{name}: rnr.types.{kinds[name]}" for name in own.form.strip("()").split(", "))
    wanted = "a number for each of its two rollouts" if own.form == "(scored)" else "a number"
    signature = f"{own.use.partition(':')[2]}{inspect.signature(own.function)}"
    return (
        f"reward {own.use!r}: {signature} was called with ({taken}), a made-up example and its answer, and should "
        f"return {wanted}: {problem}"
    )
