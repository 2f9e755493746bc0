"""How answers are decoded, the same in training, evaluation, prediction and an export.

- ``free``: unconstrained. Comparisons with other systems use it on both sides.
- ``marks``: a tagged chain under the grammar of its sentence and schema; the answer's JSON is written from the marks.
- ``schema``: a free chain, such as a teacher's, then the answer's JSON under its grammar: labels of the schema, spans
  of the sentence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rnr.messages import counted
from rnr.task.chains import chain, read_chain, tagged_chain
from rnr.task.grammar import ENDING, OPENING, refuse_labels, unmarkable, unreachable
from rnr.task.parsing import write
from rnr.types import Decoding, Example, Mention

FEW = 0.01
"""Share of the gold mentions that may be unmarkable before ``decoding_of`` prefers ``schema``."""


def decoding_of(
    taught: Sequence[Example], asked: Iterable[Example] = (), *, opens: bool = True
) -> tuple[Decoding, str]:
    """The decoding for a warm start on these examples, and why it is not ``marks``, in a few words.

    ``marks`` if every chain is a tagged one, as for data without its own chains, and marks can hold all labels and
    mentions, including those of ``asked``; else ``schema``. ``free`` without a warm start. ``opens`` says whether an
    answer begins with the tokens that begin a chain under the grammar.
    """
    if not taught:
        return "free", "no warm start trains on chains"
    if own := sum(_own_chain(example) for example in taught):
        return (
            "schema",
            f"own chains that are not tagged chains: {own} of {counted(len(taught), 'training sentence')}",
        )
    if why := beyond_marks((*taught, *asked), opens=opens):
        return "schema", why
    lost, mentions = (sum(map(len, found)) for found in (map(unreachable, taught), (one.mentions for one in taught)))
    if lost > FEW * mentions:
        return "schema", f"no chain can mark {lost} of {mentions} gold mentions (nested, crossing or inside a word)"
    return "marks", ""


def beyond_marks(examples: Iterable[Example], *, opens: bool) -> str:
    """Why ``marks`` does not work for these examples, in a few words; empty if it does."""
    if not opens:
        return "with this chat template an answer does not begin with the tokens of <think> and a newline"
    odd = unmarkable(label for example in examples for label in example.schema)
    return f"no mark can hold the label {odd[0]!r}; rename it to use marks" if odd else ""


def _own_chain(example: Example) -> bool:
    return example.reasoning is not None and chain(example) != tagged_chain(example)


def taught(example: Example, decoding: Decoding) -> tuple[tuple[Mention, ...], str]:
    """The mentions and the chain that the warm start trains on. Under ``marks``: the tagged chain, and the mentions
    that it can mark (``left_out`` counts the others); else all mentions, and the example's own chain if it has one."""
    if decoding != "marks":
        return example.mentions, chain(example)
    lost = unreachable(example)
    kept = replace(example, mentions=tuple(mention for mention in example.mentions if mention not in lost))
    return kept.mentions, tagged_chain(kept)


def refuse_undecodable(examples: Iterable[Example], decoding: Decoding) -> None:
    """Raise ValueError for examples that this decoding cannot handle: without a schema or with a blank sentence under
    any grammar, with labels that no mark can hold under ``marks``."""
    examples = list(examples)
    empty = [example.uid for example in examples if not example.schema or not example.sentence.strip()]
    if decoding != "free" and empty:
        raise ValueError(
            f"{counted(len(empty), 'sentence')} blank or without a schema, the first {empty[0]}; decoding {decoding!r} "
            "needs both: remove these rows, or use decoding free"
        )
    if decoding == "marks":
        refuse_labels(dict.fromkeys(label for example in examples for label in example.schema))


def left_out(examples: Iterable[Example], decoding: Decoding) -> dict[str, int]:
    """What this decoding cannot use of the training examples: counts by reason, without zeros."""
    if decoding != "marks":
        return {}
    examples = list(examples)
    lost = sum(len(unreachable(example)) for example in examples)
    own = sum(map(_own_chain, examples))
    counts = {
        "gold mentions that no chain can mark (nested, crossing, without offsets or inside a word)": lost,
        "chains in the data, replaced by tagged chains (sampling.decoding=auto keeps them)": own,
    }
    return {reason: count for reason, count in counts.items() if count}


def completed(tagged: str, sentence: str) -> str:
    """The whole completion for a tagged chain that was decoded under its grammar: the chain between think tags, then
    the answer with its marks.

    Raises ValueError for a chain that does not copy its sentence, which the grammar does not allow.
    """
    read = read_chain(tagged, sentence)
    if read.copy_errors or read.divergences:
        raise ValueError(f"a chain under the grammar of {sentence[:80]!r} does not copy it: {tagged[:160]!r}")
    return f"{OPENING}{tagged}{ENDING}\n{write(read.mentions, reasoning=None)}"
