"""Sentences through one engine in this process, without Ray: what the scripts that ask a finished model need."""

import asyncio
from collections.abc import Sequence

from actors.engine import Sampling
from actors.rollout import single_engine
from cluster.chat_format import chat_format
from rnr.model_folder import resolve
from rnr.task.decoding import refuse_undecodable
from rnr.task.prompts import refuse_too_long
from rnr.types import Decoding, Example, Group


async def greedy(
    examples: Sequence[Example],
    *,
    model: str,
    context_tokens: int,
    max_new_tokens: int,
    decoding: Decoding | None = None,
) -> list[Group]:
    """One greedy rollout for each example, in their order, under this decoding or the one the model was trained with.

    Raises ValueError, before the engine starts, for a model that cannot be used or a prompt that is too long.
    """
    folder = resolve(model)
    chat = chat_format(folder, decoding)
    refuse_undecodable(examples, chat.decoding)
    prompts = [chat.prompt(example) for example in examples]
    refuse_too_long(prompts, context_tokens=context_tokens, answer_tokens=max_new_tokens)
    engine = single_engine(folder, stop_token_id=chat.stop_token_id, context_tokens=context_tokens, max_num_seqs=64)
    async with engine as worker:
        sampling = Sampling(count=1, temperature=0.0, max_new_tokens=max_new_tokens)
        return list(await asyncio.gather(*(worker.generate(prompt, sampling) for prompt in prompts)))
