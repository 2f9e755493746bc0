"""Sentences through one engine in this process, without Ray: what the scripts that ask a finished model need."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from actors.engine import Sampling
from actors.rollout import single_engine
from cluster.chat_format import chat_format, refuse_unopened
from rnr.model_folder import resolve
from rnr.task.decoding import refuse_undecodable
from rnr.task.prompts import refuse_too_long
from rnr.types import Decoding, Example, Group, Prompt


async def greedy(
    examples: Sequence[Example],
    *,
    model: str,
    context_tokens: int,
    max_new_tokens: int,
    decodings: Sequence[Decoding | None] = (None,),
) -> dict[Decoding, list[Group]]:
    """For each of the decodings (None is the one that the model was trained with) one greedy rollout for each example,
    in their order.

    Raises ValueError, before the engine starts, for a model that cannot be used, a prompt that is too long, and an
    example that cannot be asked under one of the decodings.
    """
    folder = resolve(model)
    chat = chat_format(folder)
    asked: dict[Decoding, list[Prompt]] = {}
    prompts = [chat.prompt(example) for example in examples]
    refuse_too_long(prompts, context_tokens=context_tokens, answer_tokens=max_new_tokens)
    wanted: list[Decoding] = [decoding or chat.decoding for decoding in decodings]
    for decoding in dict.fromkeys(wanted):
        refuse_unopened(chat, decoding)
        refuse_undecodable(examples, decoding)
        asked[decoding] = [replace(prompt, decoding=decoding) for prompt in prompts]
    engine = single_engine(folder, stop_token_id=chat.stop_token_id, context_tokens=context_tokens, max_num_seqs=64)
    async with engine as worker:
        sampling = Sampling(count=1, temperature=0.0, max_new_tokens=max_new_tokens)
        return {
            decoding: list(await asyncio.gather(*(worker.generate(prompt, sampling) for prompt in prompts)))
            for decoding, prompts in asked.items()
        }
