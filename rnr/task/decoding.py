"""How answers are decoded, the same in training, evaluation, prediction and an export.

- ``free``: the policy says what it likes. Comparisons with other systems use it on both sides.
- ``marks``: a tagged chain under the grammar of its sentence and schema; the answer's JSON is written from the marks.
- ``schema``: a free chain, such as a teacher taught, then the answer's JSON under its grammar: labels of the schema,
  spans of the sentence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rnr.messages import counted
from rnr.task.chains import chain, read_chain, tagged_chain
from rnr.task.grammar import ENDING, OPENING, refuse_labels, unmarkable, unreachable
from rnr.task.parsing import write
from rnr.types import Decoding, Example, Mention

FEW = 0.01
"""Share of the gold mentions that may be beyond any mark before ``decoding_of`` prefers ``schema``."""


def decoding_of(
    taught: Sequence[Example], asked: Iterable[Example] = (), *, opens: bool = True
) -> tuple[Decoding, str]:
    """The decoding that goes with a warm start on these examples, and why it is not ``marks``, in a few words.

    ``marks`` where every chain is a tagged one, as it is for data without chains of their own, and the marks can hold
    labels and mentions, those that are ``asked`` included; else ``schema``. ``free`` where nothing is taught. ``opens``
    says whether an answer begins with the tokens that a chain under the grammar begins with.
    """
    if not taught:
        return "free", "no warm start teaches a chain"
    if own := sum(_own_chain(example) for example in taught):
        return (
            "schema",
            f"chains of their own, not tagged: {own} of {counted(len(taught), 'training sentence')}",
        )
    if why := beyond_marks((*taught, *asked), opens=opens):
        return "schema", why
    lost, mentions = (sum(map(len, found)) for found in (map(unreachable, taught), (one.mentions for one in taught)))
    if lost > FEW * mentions:
        return "schema", f"no chain can mark {lost} of {mentions} gold mentions (nested, crossing or within a word)"
    return "marks", ""


def beyond_marks(examples: Iterable[Example], *, opens: bool) -> str:
    """Why these cannot be asked under ``marks``, in a few words; empty if they can."""
    if not opens:
        return "under this chat template an answer begins with other tokens than <think> and a newline"
    odd = unmarkable(label for example in examples for label in example.schema)
    return f"no mark can hold the label {odd[0]!r}; with another name for it chains are marked" if odd else ""


def _own_chain(example: Example) -> bool:
    return example.reasoning is not None and chain(example) != tagged_chain(example)


def taught(example: Example, decoding: Decoding) -> tuple[tuple[Mention, ...], str]:
    """The mentions and the chain that the warm start teaches. Under ``marks`` the tagged chain, and of the mentions
    those that it can mark (``left_out`` counts the others); else all, and the example's own chain if it has one."""
    if decoding != "marks":
        return example.mentions, chain(example)
    lost = unreachable(example)
    kept = replace(example, mentions=tuple(mention for mention in example.mentions if mention not in lost))
    return kept.mentions, tagged_chain(kept)


def refuse_undecodable(examples: Iterable[Example], decoding: Decoding) -> None:
    """Raise ValueError for what cannot be asked under this decoding: examples without a schema or with a blank sentence
    under any grammar, labels that no mark can hold under ``marks``."""
    examples = list(examples)
    empty = [example.uid for example in examples if not example.schema or not example.sentence.strip()]
    if decoding != "free" and empty:
        raise ValueError(
            f"blank, or without a schema: {counted(len(empty), 'sentence')}, the first {empty[0]}; decoding "
            f"{decoding!r} needs both: take out what lacks them, or decode free"
        )
    if decoding == "marks":
        refuse_labels(dict.fromkeys(label for example in examples for label in example.schema))


def left_out(examples: Iterable[Example], decoding: Decoding) -> dict[str, int]:
    """Of training examples, what this decoding cannot teach, by reason: counts that are not 0."""
    if decoding != "marks":
        return {}
    examples = list(examples)
    lost = sum(len(unreachable(example)) for example in examples)
    own = sum(map(_own_chain, examples))
    counts = {
        "gold mentions that no chain can mark (nested, crossing, without a place or within a word)": lost,
        "chains of the data's own, in place of which tagged ones are taught (sampling.decoding=auto teaches them)": own,
    }
    return {reason: count for reason, count in counts.items() if count}


def completed(tagged: str, sentence: str) -> str:
    """The whole completion to a tagged chain that was decoded under its grammar: the chain between its tags, and the
    answer that its marks give.

    Raises ValueError for a chain that left its sentence, which the grammar does not allow.
    """
    read = read_chain(tagged, sentence)
    if read.copy_errors or read.divergences:
        raise ValueError(f"a chain under the grammar of {sentence[:80]!r} left it: {tagged[:160]!r}")
    return f"{OPENING}{tagged}{ENDING}\n{write(read.mentions, reasoning=None)}"
