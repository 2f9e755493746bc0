"""Custom rewards, in each form that RNR supports. Copy what you need; `docs/rewards.md` explains the config.

    [reward]
    preset = "gated"                      # the built-in reward; "none" uses only your scorers

    [[reward.scorers]]
    use = "examples.rewards:short_chain"  # any module that Python can import from the folder where you start the run
    arguments = { words = 60 }
    weight = 0.2

Test them without a model: `python -m examples.rewards`. Debug them in a run with `breakpoint()` (`docs/debugging.md`):
`python -m scripts.train --debug --reward.scorers="[{use = 'examples.rewards:short_chain', weight = 0.2}]"`.
"""

import os

import httpx

from rnr.types import Answer, Example, Rollout, ScoredGroup


def boundaries(example: Example, answer: Answer) -> float:
    """Scores one answer, the simplest form: the share of gold mentions whose span was found, ignoring labels."""
    gold = {(mention.start, mention.end) for mention in example.mentions}
    found = {(mention.start, mention.end) for mention in answer.mentions}
    return len(gold & found) / len(gold) if gold else float(not found)


def short_chain(example: Example, answer: Answer, rollout: Rollout, *, words: int = 80) -> float:
    """Scores one answer and its rollout (`text`, `token_ids`, `logprobs`, `finished`). `words` is set in the config.

    1 for a finished answer whose reasoning has at most `words` words, falling linearly to 0 at twice as many.
    """
    if not rollout.finished or answer.reasoning is None:
        return 0.0
    return min(1.0, max(0.0, 2 - len(answer.reasoning.split()) / words))


def agreement(scored: ScoredGroup) -> list[float]:
    """Scores a whole group: the mean F1 of each answer against the other answers. Needs no gold mentions."""
    answers = [{(mention.text, mention.label) for mention in answer.mentions} for answer in scored.answers]
    others = max(1, len(answers) - 1)
    return [
        sum(_f1(one, other) for place, other in enumerate(answers) if place != own) / others
        for own, one in enumerate(answers)
    ]


def _f1(one: set[tuple[str, str]], other: set[tuple[str, str]]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0


class Judge:
    """An LLM judge: a model with an OpenAI-compatible endpoint rates whether the reasoning supports the answer.

    It is asynchronous: all answers of a group are judged concurrently, and with `groups_at_once = 4` those of four
    groups. A class is instantiated once per worker, so it can keep a connection, a model or a cache. An exception makes
    the reward of that answer invalid: it is excluded from baseline and loss and counted, never replaced by 0.
    """

    def __init__(self, url: str, model: str, seconds: float = 60.0, key_variable: str = "JUDGE_API_KEY") -> None:
        key = os.environ.get(key_variable, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.AsyncClient(base_url=url, timeout=seconds, headers=headers)
        self._model = model

    async def __call__(self, example: Example, answer: Answer, rollout: Rollout) -> float:
        question = (
            f"Sentence: {example.sentence}\nLabels: {', '.join(example.schema)}\nReasoning and answer: {rollout.text}\n"
            "Does the reasoning support the answer? Reply with one number from 0 (not at all) to 10 (entirely)."
        )
        messages = [{"role": "user", "content": question}]
        reply = await self._client.post("/chat/completions", json={"model": self._model, "messages": messages})
        reply.raise_for_status()
        return min(10.0, max(0.0, float(reply.json()["choices"][0]["message"]["content"].strip()))) / 10


if __name__ == "__main__":
    from rewards.user.trial import trial

    for name in ("boundaries", "short_chain", "agreement"):
        print(f"{name}: {trial(f'examples.rewards:{name}', (-100.0, 100.0)) or 'gives a number'}")
