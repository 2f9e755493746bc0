"""A user's own rewards, named as ``module:name``: how each is called, tried, and what it returns.

It is code that is not ours: whatever is raised in it is caught here, and nowhere else in this package.
"""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Thread
from typing import Any, Literal

from rewards.lookup import find, place
from rnr.types import Answer, Example, Group, Mention, Prompt, Reward, Rollout, ScoredGroup, Segment

RewardFunction = Callable[[Example, Answer], float]

Range = tuple[float, float]
"""The least and the largest number that is a reward: ``reward.range``."""

ANY_NUMBER: Range = (-math.inf, math.inf)

OF_EVERY_REWARD = ("finished", "parsed")
"""The parts that every reward has."""

Form = Literal["(scored)", "(example, answer)", "(example, answer, rollout)"]
FORMS: tuple[Form, ...] = ("(scored)", "(example, answer)", "(example, answer, rollout)")
"""What a reward may take, by the number of its positional parameters without a default: a whole group, for which it
returns a number for each rollout; or one answer, also with its rollout (text, tokens, whether it finished)."""

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


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why there is no number."""

    cause: str


class CustomReward:
    """One reward of a user's own, ready to be called: a function, or the instance of a class."""

    def __init__(self, use: str, arguments: Mapping[str, Any] | None = None) -> None:
        """``arguments`` go to the class when it is made, to a function at every call, as keywords. Raises ValueError
        naming what is wrong: see ``form_of``; or the class could not be made."""
        self.use = use
        self.form: Form = form_of(use, arguments)
        self.function: Any = find(use)
        self._keywords = dict(arguments or {})
        if inspect.isclass(self.function):
            try:
                self.function = self.function(**self._keywords)
            except (Exception, SystemExit) as problem:
                raise ValueError(f"reward {use!r} could not be made: {_why(problem)}") from problem
            self._keywords = {}

    def values(self, scored: ScoredGroup, bounds: Range) -> list[float | str]:
        """A number within ``bounds`` for each rollout, or the cause for which it has none. Waits for what is
        asynchronous."""
        given = self._given(scored)
        items = given if isinstance(given, list) else [given]
        if any(map(inspect.isawaitable, items)):
            given = _in_a_loop(lambda: _awaited(given))
        return self._numbers(given, len(scored.rewards), bounds)

    async def values_async(self, scored: ScoredGroup, bounds: Range, *, in_thread: bool) -> list[float | str]:
        """As ``values``; a function that is not asynchronous is called in a thread of its own, or blocks the loop."""
        given = await asyncio.to_thread(self._given, scored) if in_thread else self._given(scored)
        return self._numbers(await _awaited(given), len(scored.rewards), bounds)

    def _given(self, scored: ScoredGroup) -> Any:
        """What the function returns: for a group, or a list of what it returned for each rollout."""
        group = scored.group
        if self.form == "(scored)":
            return self._called(scored)
        pairs = zip(scored.answers, group.rollouts, strict=True)
        if self.form == "(example, answer)":
            return [self._called(group.prompt.example, answer) for answer, _ in pairs]
        return [self._called(group.prompt.example, *pair) for pair in pairs]

    def _called(self, *values: Any) -> Any:
        try:
            return self.function(*values, **self._keywords)
        # Whatever it is, it makes a reward invalid, and the run goes on: sys.exit() too must not end a worker.
        except (Exception, SystemExit) as problem:
            return _Failed(_why(problem))

    def _numbers(self, given: Any, count: int, bounds: Range) -> list[float | str]:
        if self.form == "(scored)" and not isinstance(given, _Failed):
            try:
                given = list(given)
            except Exception as problem:
                given = _Failed(f"{type(problem).__name__}: {self.use} returned no list of numbers: {problem}")
            else:
                if len(given) != count:
                    given = _Failed(f"ValueError: {self.use} returned {len(given)} values for {count} rollouts")
        if isinstance(given, _Failed):
            return [given.cause] * count
        return [_number(value, self.use, bounds) for value in given]


def form_of(use: str, arguments: Mapping[str, Any] | None = None) -> Form:
    """What the reward takes, without calling it or making its class.

    Raises ValueError naming what is wrong: that it cannot be found (``rewards.lookup.find``), that it takes other
    things, or that ``arguments`` are not its own.
    """
    found, keywords = find(use), dict(arguments or {})
    name = use.partition(":")[2]
    if inspect.isclass(found):
        _bind(use, name, inspect.signature(found), 0, keywords)
        called, keywords = found.__call__, {}
        if not any("__call__" in vars(parent) for parent in found.__mro__):
            raise ValueError(f"reward {use!r}: {name} is a class whose instances cannot be called: give it __call__")
        signature = inspect.signature(called)
        parameters = list(signature.parameters.values())[1:]
        signature = signature.replace(parameters=parameters)
    else:
        signature = inspect.signature(found)
        parameters = list(signature.parameters.values())
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
        and parameter.name not in keywords
    ]
    if not needed and any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        needed = ["example", "answer"]
    if not 1 <= len(needed) <= 3:
        raise ValueError(f"reward {use!r}: {name}{signature} must take {', '.join(FORMS[:2])} or {FORMS[2]}")
    _bind(use, name, signature, len(needed), keywords)
    return FORMS[len(needed) - 1]


def _bind(use: str, name: str, signature: inspect.Signature, count: int, keywords: Mapping[str, Any]) -> None:
    try:
        signature.bind(*(None,) * count, **keywords)
    except TypeError as problem:
        raise ValueError(f"reward {use!r}: {name}{signature} was given the arguments {keywords}: {problem}") from None


@lru_cache(maxsize=64)
def load(use: str) -> CustomReward:
    """The reward without arguments that ``use`` names, kept; raises ValueError as ``CustomReward`` does."""
    return CustomReward(use)


def check(
    use: str,
    bounds: Range,
    arguments: Mapping[str, Any] | None = None,
    *,
    seconds: float,
    parts: Sequence[str] = OF_EVERY_REWARD,
) -> None:
    """Raises ValueError with what ``trial`` says of the reward, if it says anything."""
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
    """What is wrong with the reward, from one call with the right answer to a made-up example: it cannot be loaded,
    or no number within ``bounds`` comes back within ``seconds``, a model that it loads included. Empty if nothing is.
    ``parts`` are those of a reward, by name, that it finds in a group. A reward without arguments is kept for ``load``.

    It never raises, and all it takes and gives is plain: it can be asked of any process that is to call the reward.
    """
    try:
        own = CustomReward(use, arguments) if arguments else load(use)
    except ValueError as problem:
        return str(problem)
    outcome: list[list[float | str]] = []
    # A thread that hangs cannot be ended; as a daemon it at least does not keep the process from ending.
    thread = Thread(target=lambda: outcome.append(own.values(_made_up(own.form, parts), bounds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return _verdict(own, outcome[0] if outcome else None, seconds)


async def trial_here(
    own: CustomReward, bounds: Range, *, seconds: float, parts: Sequence[str] = OF_EVERY_REWARD
) -> str:
    """As ``trial``, on the event loop that will call the reward: what it opens there, such as connections, stays."""
    try:
        call = own.values_async(_made_up(own.form, parts), bounds, in_thread=True)
        return _verdict(own, await asyncio.wait_for(call, seconds), seconds)
    except TimeoutError:
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
        f"reward {own.use!r}: {signature} was tried with ({taken}), a made-up example and its right answer, and should "
        f"have returned {wanted}: {problem}"
    )


def _number(value: Any, use: str, bounds: Range) -> float | str:
    if isinstance(value, _Failed):
        return value.cause
    low, high = bounds
    try:
        # A bool is a number here: a user's `return a == b` is a reward. A text is none, whatever it says.
        number = float(value) if hasattr(value, "__float__") else math.nan
    except Exception as problem:
        return _why(problem)
    if low <= number <= high and math.isfinite(number):
        return number
    wanted = "a number" if bounds == ANY_NUMBER else f"a number in reward.range [{low:g}, {high:g}]"
    return f"ValueError: {use} returned {repr(value)[:100]}, not {wanted}"


async def _awaited(given: Any) -> Any:
    """``given``, or each item of a list, as it is once it has been waited for; all of them at once."""
    if inspect.isawaitable(given):
        return await _caught(given)
    if isinstance(given, list) and any(map(inspect.isawaitable, given)):
        return await asyncio.gather(*(_caught(item) if inspect.isawaitable(item) else _as_is(item) for item in given))
    return given


async def _caught(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except (Exception, SystemExit) as problem:
        return _Failed(_why(problem))


async def _as_is(value: Any) -> Any:
    return value


def _in_a_loop(make: Callable[[], Any]) -> Any:
    """What the coroutine returns, from a loop of its own; in a thread where this one has a loop already."""
    results: list[Any] = []

    def run() -> None:
        results.append(asyncio.run(make()))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run()
    else:
        thread = Thread(target=run)
        thread.start()
        thread.join()
    return results[0]


def _why(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}{place(problem, ours=(__file__,))}"
