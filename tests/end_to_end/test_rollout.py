"""What one rollout worker with a real engine does."""

import asyncio

import pytest

from actors.rollout import single_engine

pytestmark = pytest.mark.slow


def test_the_samples_of_a_prompt_share_its_cached_blocks(tiny_model) -> None:
    async def cached() -> int:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        engine = single_engine(str(tiny_model), stop_token_id=2, context_tokens=256, concurrent_sequences=8)
        async with engine as worker:
            parameters = SamplingParams(n=4, max_tokens=4, ignore_eos=True, output_kind=RequestOutputKind.FINAL_ONLY)
            output = await worker._request(tuple(range(1000, 1070)), parameters)
        return output.num_cached_tokens

    # Of 70 tokens, two whole blocks of 32 (or four of 16 on a GPU), though all four samples start together.
    assert asyncio.run(cached()) == 64
