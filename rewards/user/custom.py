"""A user's own rewards, named as ``module:name``: how each is called and what it returns.

It is not our code: all of its exceptions are caught here, and nowhere else in this package.
"""

import asyncio
import inspect
import math
from bdb import BdbQuit
from collections.abc import Awaitable, Callable, Mapping, Set
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from threading import current_thread, main_thread
from typing import Any, Literal

from rewards.user.background_loop import no_loop, wait_for, wait_there
from rewards.user.lookup import find, place, shown
from rnr.types import Answer, Example, ScoredGroup

RewardFunction = Callable[[Example, Answer], float]

Range = tuple[float, float]
"""The smallest and the largest valid reward: ``reward.range``."""

ANY_NUMBER: Range = (-math.inf, math.inf)

OF_EVERY_REWARD = ("finished", "parsed")
"""The parts that every reward has."""

Form = Literal["(scored)", "(example, answer)", "(example, answer, rollout)"]
FORMS: tuple[Form, ...] = ("(scored)", "(example, answer)", "(example, answer, rollout)")
"""What a reward may take, by the number of its positional parameters without a default: a whole group, for which it
returns a number for each rollout; or one answer, also with its rollout (text, tokens, whether it finished)."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """The cause in place of a number."""

    cause: str


class CustomReward:
    """A user's own reward, ready to be called: a function, or an instance of a class."""

    def __init__(self, use: str, arguments: Mapping[str, Any] | None = None) -> None:
        """``arguments`` are keywords for the constructor of a class, or for every call of a function. Raises ValueError
        as ``form_of`` does, or if the constructor fails."""
        self.use = use
        self.form: Form = form_of(use, arguments)
        self.function: Any = find(use)
        self._keywords = dict(arguments or {})
        if inspect.isclass(self.function):
            try:
                with no_loop():
                    self.function = self.function(**self._keywords)
            except (Exception, SystemExit, GeneratorExit) as problem:
                raise ValueError(f"reward {use!r}: its constructor failed: {_why(problem)}") from problem
            self._keywords = {}

    def values(self, scored: ScoredGroup, bounds: Range, seconds: float | None = None) -> list[float | str]:
        """For each rollout a number within ``bounds``, or why there is none. Waits for awaitables; raises
        TimeoutError if that takes longer than ``seconds``."""
        given = self._given(scored)
        if _is_awaitable(given):
            given = wait_for(_awaited(given), seconds)
        return self._numbers(given, len(scored.rewards), bounds)

    async def values_async(self, scored: ScoredGroup, bounds: Range, executor: Executor | None) -> list[float | str]:
        """As ``values``, with the function called in a thread of ``executor``. Without one it blocks this loop, and a
        breakpoint stops in this thread."""
        if executor is None:
            given = self._given(scored)
        else:
            given = await asyncio.get_running_loop().run_in_executor(executor, self._given, scored)
        if _is_awaitable(given):
            given = await wait_there(_awaited(given))
        return self._numbers(given, len(scored.rewards), bounds)

    def _given(self, scored: ScoredGroup) -> Any:
        """What the function returns for a group, or the list of its values for each rollout."""
        group = scored.group
        if self.form == "(scored)":
            return self._called(scored)
        pairs = zip(scored.answers, group.rollouts, strict=True)
        if self.form == "(example, answer)":
            return [self._called(group.prompt.example, answer) for answer, _ in pairs]
        return [self._called(group.prompt.example, *pair) for pair in pairs]

    def _called(self, *values: Any) -> Any:
        try:
            with no_loop():
                given = self.function(*values, **self._keywords)
                # A generator does its work when it is read.
                return list(given) if inspect.isgenerator(given) else given
        except BaseException as problem:
            return _failed(problem)

    def _numbers(self, given: Any, count: int, bounds: Range) -> list[float | str]:
        if self.form == "(scored)" and not isinstance(given, _Failed):
            given = _listed(given, self.use, count)
        if isinstance(given, _Failed):
            return [given.cause] * count
        return [_number(value, self.use, bounds) for value in given]


def _listed(given: Any, use: str, count: int) -> list[Any] | _Failed:
    """The values for the rollouts of a group, in order."""
    if isinstance(given, Mapping | Set):
        kind = type(given).__name__
        return _Failed(f"TypeError: {use} returned a {kind}, which has no order of rollouts: return a list")
    try:
        values = list(given)
    except Exception as problem:
        return _Failed(f"{type(problem).__name__}: {use} did not return a list of numbers: {shown(problem)}")
    if len(values) != count:
        return _Failed(f"ValueError: {use} returned {len(values)} values for {count} rollouts")
    return values


def form_of(use: str, arguments: Mapping[str, Any] | None = None) -> Form:
    """The parameters of the reward, without calling it or its constructor.

    Raises ValueError if it cannot be found (``rewards.user.lookup.find``), takes other parameters, or does not take
    ``arguments``.
    """
    found, keywords = find(use), dict(arguments or {})
    name = use.partition(":")[2]
    if inspect.isclass(found):
        _bind(use, name, inspect.signature(found), 0, keywords)
        called, keywords = found.__call__, {}
        if not any("__call__" in vars(parent) for parent in found.__mro__):
            raise ValueError(f"reward {use!r}: {name} is a class whose instances are not callable: add __call__")
        signature = inspect.signature(called)
        parameters = list(signature.parameters.values())[1:]
        signature = signature.replace(parameters=parameters)
    else:
        signature = _signature(found, use)
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


def _signature(found: Callable[..., Any], use: str) -> inspect.Signature:
    try:
        return inspect.signature(found)
    except ValueError as problem:  # some of those in compiled code
        raise ValueError(f"reward {use!r}: {problem}: wrap it in a function") from None


def _bind(use: str, name: str, signature: inspect.Signature, count: int, keywords: Mapping[str, Any]) -> None:
    try:
        signature.bind(*(None,) * count, **keywords)
    except TypeError as problem:
        raise ValueError(
            f"reward {use!r}: {name}{signature} does not take the arguments {dict(keywords)}: {problem}; they are the "
            "key `arguments` of its entry in reward.scorers"
        ) from None


@lru_cache(maxsize=64)
def load(use: str) -> CustomReward:
    """The reward without arguments that ``use`` names, cached; raises ValueError as ``CustomReward`` does."""
    return CustomReward(use)


def _number(value: Any, use: str, bounds: Range) -> float | str:
    if isinstance(value, _Failed):
        return value.cause
    low, high = bounds
    try:
        # A bool is a number here: a user's `return a == b` is a reward. A text is never one.
        number = float(value) if hasattr(value, "__float__") else math.nan
    except Exception as problem:
        return _why(problem)
    if low <= number <= high and math.isfinite(number):
        return number
    wanted = "a number" if bounds == ANY_NUMBER else f"a number in reward.range [{low:g}, {high:g}]"
    return f"ValueError: {use} returned {shown(value, repr)[:100]}, not {wanted}"


def _is_awaitable(given: Any) -> bool:
    return inspect.isawaitable(given) or (isinstance(given, list) and any(map(inspect.isawaitable, given)))


async def _awaited(given: Any) -> Any:
    """The result of an awaitable, or of each item of a list, awaited concurrently."""
    if not isinstance(given, list):
        return await _caught(given)
    return await asyncio.gather(*(_caught(item) if inspect.isawaitable(item) else _as_is(item) for item in given))


async def _caught(awaitable: Awaitable[Any]) -> Any:
    task = asyncio.current_task()
    try:
        return await awaitable
    except BaseException as problem:
        if isinstance(problem, asyncio.CancelledError) and task is not None and task.cancelling():
            raise  # by us: no caller waits for it any more
        return _failed(problem)


async def _as_is(value: Any) -> Any:
    return value


def _failed(problem: BaseException) -> _Failed:
    """Any exception makes the reward invalid and the run continues: sys.exit() must not end a worker either. Ctrl-C,
    which arrives in the main thread, is raised again, and so is `q` at a breakpoint there."""
    if isinstance(problem, KeyboardInterrupt | BdbQuit) and current_thread() is main_thread():
        raise KeyboardInterrupt from problem
    return _Failed(_why(problem))


def _why(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {shown(problem)}{place(problem, ours=(__file__,))}"
