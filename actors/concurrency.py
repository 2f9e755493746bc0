"""Coroutines side by side."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

Result = TypeVar("Result")


async def gather_all(work: Iterable[Awaitable[Result]]) -> list[Result]:
    """The results, in order. When one fails the others are cancelled, and once they have ended its error is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            if not task.cancelling():  # once: what a task does while it ends is not interrupted
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
