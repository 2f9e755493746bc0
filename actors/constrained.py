"""Rollouts under a grammar: the engine's requests, which tokens were decisions, and the resulting completion.

Knows xgrammar, which vLLM decodes with, but no engine.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, takewhile
from typing import Any, Protocol

import xgrammar

from actors.engine import Sampling
from actors.model_files import embedding_rows
from actors.token_mask import ids_of
from actors.token_text import pieces
from rnr.task.decoding import completed
from rnr.task.encoding import Piece, PieceEncoder
from rnr.task.grammar import OPENING, answer_grammar, chain_grammar
from rnr.task.parsing import CLOSE, OPEN
from rnr.task.prompts import chain_opening
from rnr.types import Decoding, Example, Group, Prompt, Rollout, Segment

_PLAIN, _LABELS = "Ada Lovelace ran in 1815.", ("person", "city")


class GrammarMasks:
    """The token ids that the grammar of a prompt allowed at each place of a completion, for one tokenizer: as in an
    engine, only those for which the model in the tokenizer's folder has embeddings."""

    def __init__(self, tokenizer: Any, stop_token_ids: Iterable[int]) -> None:
        rows = embedding_rows(tokenizer.name_or_path)
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=rows)
        self._vocabulary: list[bytes] = info.decoded_vocab
        self._stops = [token for token in stop_token_ids if token < info.vocab_size]
        # Each sentence has a grammar of its own: kept, they would fill the memory (0.75 MB each) and not come again.
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self._mask = xgrammar.allocate_token_bitmask(1, info.vocab_size)

    def compile(self, grammar: str) -> xgrammar.CompiledGrammar:
        """The grammar for ``allowed``; not cached."""
        return self._compiler.compile_grammar(grammar)

    def allowed(self, grammar: xgrammar.CompiledGrammar, token_ids: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """For each token the ids among which it was a decision, in ascending order; for a token that decides nothing it
        alone. Nothing is decided where one id is allowed, and where several are but all spell, or begin to spell, what
        has to follow: ``l``, ``la`` and ``lace`` after ``Love``.

        Raises ValueError for a token that the grammar does not allow.
        """
        matcher = xgrammar.GrammarMatcher(grammar, override_stop_tokens=self._stops, max_rollback_tokens=0)
        found: list[tuple[int, ...]] = []
        for place, token in enumerate(token_ids):
            matcher.fill_next_token_bitmask(self._mask)
            ids = ids_of(self._mask.numpy()[0], len(self._vocabulary))
            decided = len(ids) > 1 and not self._spells(matcher, ids)
            if not matcher.accept_token(token):
                raise ValueError(
                    f"token {place}, {self._vocabulary[token]!r}, is not one of the {len(ids)} allowed ones"
                )
            found.append(ids if decided else (token,))
        return tuple(found)

    def refused(self, grammar: xgrammar.CompiledGrammar, token_ids: Sequence[int]) -> str:
        """The first token that the grammar refuses, as the grammar reads it; empty if it allows all."""
        count, _ = self.taken(grammar, token_ids)
        return repr(self._vocabulary[token_ids[count]]) if count < len(token_ids) else ""

    def taken(self, grammar: xgrammar.CompiledGrammar, token_ids: Sequence[int]) -> tuple[int, bytes]:
        """How many tokens the grammar takes before it refuses one, and what they spell."""
        matcher = xgrammar.GrammarMatcher(grammar, override_stop_tokens=self._stops, max_rollback_tokens=0)
        found = list(takewhile(matcher.accept_token, token_ids))
        return len(found), b"".join(self._vocabulary[token] for token in found)

    def _spells(self, matcher: xgrammar.GrammarMatcher, ids: tuple[int, ...]) -> bool:
        """Whether all these tokens begin the one text that has to follow."""
        if any(token in self._stops for token in ids):
            return all(token in self._stops for token in ids)
        longest = max((self._vocabulary[token] for token in ids), key=len)
        if not all(longest.startswith(self._vocabulary[token]) for token in ids):
            return False
        # Nested tokens may still leave a choice open that has no token of its own: then less has to follow.
        return matcher.find_jump_forward_string().encode().startswith(longest)


def misread(tokenizer: Any, stop_token_id: int, decoding: Decoding) -> str:
    """Why this tokenizer cannot be decoded under the grammar of ``marks`` or ``schema``, in a few words; empty if it
    can. xgrammar misreads the text of some vocabularies, such as Unigram's without bytes, and vLLM
    lets the token that ends a text end all that a grammar allows."""
    eos, rows = getattr(tokenizer, "eos_token_id", None), embedding_rows(tokenizer.name_or_path)
    if eos is not None and rows is not None and eos >= rows:
        return (
            f"no grammar can end with the tokenizer's eos_token, {tokenizer.eos_token!r}: the model has no embedding "
            "for it"
        )
    encoder, masks = PieceEncoder(tokenizer), GrammarMasks(tokenizer, [stop_token_id])
    if decoding == "marks":
        grammar, context = chain_grammar(_PLAIN, _LABELS), [Piece(OPENING, markup=True)]
        text = "Ada [Lovelace: person] ran in 1815.\n"
    else:
        grammar, context = answer_grammar(_PLAIN, _LABELS), [Piece(CLOSE, markup=True), Piece("\n")]
        text = '{"entities":{"person":["Ada Lovelace"]}}'
    odd = masks.refused(masks.compile(grammar), encoder.encode_after(context, [Piece(text)]))
    return f"this tokenizer cannot be decoded under a grammar, which reads a token as {odd}" if odd else ""


class TargetDecisions:
    """The decisions in the targets of a warm start that teaches tagged chains."""

    def __init__(self, tokenizer: Any, stop_token_id: int, opening: str) -> None:
        self._newline = opening != OPENING
        """Whether the target begins before the chain, with the newline at least."""
        self._opening = () if opening else tuple(PieceEncoder(tokenizer).encode([Piece(OPEN, markup=True)]))
        self._masks = GrammarMasks(tokenizer, [stop_token_id])

    def allowed(self, example: Example, chain: str, target: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """For each token of the target with this chain the ids among which it was a decision, as for a rollout: the
        token alone where nothing is decided, as everywhere before and after the chain."""
        before = "\n" if self._newline else ""
        grammar = self._masks.compile(chain_grammar(example.sentence, example.schema, before=before))
        first = len(self._opening)
        # Not encoded by itself: what follows may divide white space at the end of a sentence otherwise.
        count, text = self._masks.taken(grammar, target[first:])
        if tuple(target[:first]) != self._opening or text != f"{before}{chain}\n".encode():
            raise ValueError(f"the target of {example.uid} does not begin with its chain: {chain[:80]!r}")
        decided = self._masks.allowed(grammar, target[first : first + count])
        return (*((token,) for token in target[:first]), *decided, *((token,) for token in target[first + count :]))


class Complete(Protocol):
    """Plain completions of a prompt's token ids."""

    def __call__(self, prompt: Prompt, sampling: Sampling, *, grammar: str = "", stop: str = "") -> Awaitable[Group]:
        """Those that the grammar allows, and none longer than the first ``stop``, which they keep."""
        ...


class Decoder:
    """Completions by ``rnr.task.decoding``, over an engine that knows token ids, grammars and stop strings only."""

    def __init__(self, complete: Complete, tokenizer: Any, stop_token_id: int) -> None:
        self._complete = complete
        self._tokenizer = tokenizer
        self._encoder = encoder = PieceEncoder(tokenizer)
        self._openings = {written: chain_opening(encoder, written) for written in ("", OPEN, OPENING)}
        """What the prompt has written of the chain's opening -> the tokens of the rest."""
        eos = getattr(tokenizer, "eos_token_id", None)
        self._stops = {stop_token_id, *([] if eos is None else [eos])}
        self._masks = GrammarMasks(tokenizer, self._stops)

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Group:
        """The rollouts of one prompt under the grammar of its decoding, ``marks`` or ``schema``."""
        return await (self._generate_marks if prompt.decoding == "marks" else self._generate_schema)(prompt, sampling)

    async def _complete_under(self, grammar: str, prompt: Prompt, sampling: Sampling) -> Group:
        """The completions that the grammar allows. A control token that the sentence spells is a way to copy it, and
        engines leave it out of the text: there the text is put together here."""
        group = await self._complete(prompt, sampling, grammar=grammar)
        if self._encoder.first_control(prompt.example.sentence) is None:
            return group
        rollouts = tuple(self._with_controls(prompt, rollout) for rollout in group.rollouts)
        return Group(prompt=group.prompt, rollouts=rollouts)

    def _with_controls(self, prompt: Prompt, rollout: Rollout) -> Rollout:
        last = rollout.token_ids[-1]
        stop = last if last in self._stops else -1
        found = pieces(self._tokenizer, stop, prompt.token_ids, rollout.token_ids, control_tokens=True)
        if found is None:
            return rollout
        return replace(rollout, text="".join(found), ends=tuple(accumulate(map(len, found))))

    async def _generate_marks(self, prompt: Prompt, sampling: Sampling) -> Group:
        """The chain's opening is given, the chain is sampled, and the rest follows: only the chain is trained on.
        Greedy completions carry no allowed ids, as nothing is trained on them."""
        grammar = chain_grammar(prompt.example.sentence, prompt.example.schema)
        given = self._openings[prompt.opening]
        opened = replace(prompt, token_ids=(*prompt.token_ids, *given), opening="")
        # Compiled for the masks while the engine decodes, which compiles for itself.
        wanted = sampling.temperature and sampling.decisions
        compiled = asyncio.create_task(asyncio.to_thread(self._masks.compile, grammar)) if wanted else None
        limits = replace(sampling, max_new_tokens=max(1, sampling.max_new_tokens - len(given)))
        group = await self._complete_under(grammar, opened, limits)
        ready = await compiled if compiled else None
        marked = (self._marked(prompt, given, rollout, ready) for rollout in group.rollouts)
        return Group(prompt=prompt, rollouts=tuple(marked))

    def _marked(
        self, prompt: Prompt, given: tuple[int, ...], rollout: Rollout, compiled: xgrammar.CompiledGrammar | None
    ) -> Rollout:
        chain = rollout.segments  # several if a new policy took over midway
        if compiled:
            chain = _with_allowed(chain, self._masks.allowed(compiled, rollout.token_ids))
        opening = Segment(
            token_ids=given,
            logprobs=(0.0,) * len(given),
            policy_version=chain[0].policy_version,
            trained=False,
        )
        before = (*[len(prompt.opening)] * (len(given) - 1), len(OPENING)) if given else ()
        text = f"{OPENING}{rollout.text}"
        if rollout.finished:
            text = completed(rollout.text.removesuffix("\n"), prompt.example.sentence)
        ends = (*before, *(len(OPENING) + end for end in rollout.ends)) if rollout.ends else ()
        return replace(rollout, segments=(opening, *chain) if given else chain, text=text, ends=ends)

    async def _generate_schema(self, prompt: Prompt, sampling: Sampling) -> Group:
        """The chain is sampled freely and trained on; the answer that its grammar allows is not."""
        group = await self._complete(prompt, sampling, stop=CLOSE)
        # Engines count up from a seed, one for each chain: an answer is not drawn with the noise of its own chain.
        after = sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + sampling.count)
        rollouts = await asyncio.gather(*(self._with_answer(prompt, rollout, after) for rollout in group.rollouts))
        return Group(prompt=prompt, rollouts=tuple(rollouts))

    async def _with_answer(self, prompt: Prompt, rollout: Rollout, sampling: Sampling) -> Rollout:
        if not rollout.text.rstrip().endswith(CLOSE):
            return self._without_stop_text(rollout)  # it ended without a chain, or hit the limit within it
        chain, missing = self._close_chain(prompt, rollout)
        written = self._closing_ids(missing)
        room = sampling.max_new_tokens - len(chain.token_ids) - len(written)
        if room <= 0:
            return replace(rollout, finished=False)
        token_ids = (*prompt.token_ids, *chain.token_ids, *written)
        reasoned = replace(prompt, token_ids=token_ids, opening="")
        grammar = answer_grammar(prompt.example.sentence, prompt.example.schema)
        limits = replace(sampling, count=1, max_new_tokens=room, min_new_tokens=0)
        answer = (await self._complete_under(grammar, reasoned, limits)).rollouts[0]
        given = Segment(
            token_ids=(*written, *answer.token_ids),
            logprobs=(0.0,) * (len(written) + len(answer.token_ids)),
            policy_version=answer.policy_version,
            trained=False,
        )
        text = chain.text + missing
        before = (*chain.ends, *[len(text)] * len(written))
        known = bool(chain.ends and answer.ends)
        return Rollout(
            segments=(*chain.segments, given),
            text=text + answer.text,
            finished=answer.finished,
            ends=(*before, *(len(text) + end for end in answer.ends)) if known else (),
        )

    def _without_stop_text(self, rollout: Rollout) -> Rollout:
        """A rollout without the name of the token that ended it, which vLLM keeps beside a stop string where the token
        is not special."""
        last = rollout.token_ids[-1:]
        name = self._tokenizer.decode(last, skip_special_tokens=True) if self._stops.issuperset(last) else ""
        text = rollout.text.removesuffix(name)
        return replace(rollout, text=text, ends=tuple(min(end, len(text)) for end in rollout.ends))

    def _close_chain(self, prompt: Prompt, rollout: Rollout) -> tuple[Rollout, str]:
        """A chain with the text of its tokens, and the missing part of ``</think>`` and a newline after it.

        Engines cut the text after the stop string, but its last token may continue: ``>`` and the newline are one
        token in many vocabularies. A token that continues with anything else was never taught: it is removed.
        """
        found = pieces(self._tokenizer, -1, prompt.token_ids, rollout.token_ids)
        text = prompt.opening + "".join(found or ())
        closed = text.find(CLOSE) + len(CLOSE)
        if found is None or closed < len(CLOSE):
            return rollout, "\n"
        ends = tuple(len(prompt.opening) + end for end in accumulate(map(len, found)))
        beyond = text[closed:]
        if not beyond.strip():
            return replace(rollout, text=text, ends=ends), "" if "\n" in beyond else "\n"
        kept = sum(end <= closed for end in ends)
        last = ends[kept - 1] if kept else len(prompt.opening)
        chain = replace(rollout, segments=_first_tokens(rollout.segments, kept), text=text[:last], ends=ends[:kept])
        return chain, text[last:closed] + "\n"

    def _closing_ids(self, missing: str) -> tuple[int, ...]:
        """Token ids of the missing end of ``</think>`` and a newline."""
        begun = CLOSE.removesuffix(missing.removesuffix("\n"))
        return tuple(self._encoder.encode_after([Piece(begun, markup=True)], [Piece(missing)])) if missing else ()


def _first_tokens(segments: Sequence[Segment], count: int) -> tuple[Segment, ...]:
    """The segments up to the token ``count``."""
    found: list[Segment] = []
    for segment in segments:
        if count > 0:
            parts = {name: getattr(segment, name)[:count] for name in ("token_ids", "logprobs", "allowed")}
            found.append(replace(segment, **parts))
        count -= len(segment.token_ids)
    return tuple(found)


def _with_allowed(segments: Sequence[Segment], allowed: Sequence[tuple[int, ...]]) -> tuple[Segment, ...]:
    """The segments with the allowed ids of all their tokens; log-probability 0 for a token that decides nothing."""
    found: list[Segment] = []
    start = 0
    for segment in segments:
        ids = tuple(allowed[start : start + len(segment.token_ids)])
        logprobs = (0.0 if len(few) == 1 else log for log, few in zip(segment.logprobs, ids, strict=True))
        found.append(replace(segment, allowed=ids, logprobs=tuple(logprobs)))
        start += len(segment.token_ids)
    return tuple(found)
