"""Labels of syntax, which stand beside those of entities in many files and are none of them."""

from collections.abc import Iterable

_ENGLISH = ("NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP", "AP", "QP")
_GERMAN = ("NC", "VC", "PC", "ADVC", "ADJC", "CONJC")
CHUNKS = frozenset((*_ENGLISH, *_GERMAN))
"""Labels of syntactic chunks, which stand beside the entities of CoNLL-2003."""

_UNIVERSAL = "ADJ ADP ADV AUX CCONJ CONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
_PENN = (
    "CC CD DT EX FW IN JJ JJR JJS LS MD NN NNS NNP NNPS PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH VB VBD VBG VBN VBP "
    "VBZ WDT WP WP$ WRB -LRB- -RRB- HYPH NFP ADD AFX XX GW"
)
PARTS_OF_SPEECH = frozenset((*_UNIVERSAL.split(), *_PENN.split()))
"""Universal Dependencies' and the Penn Treebank's."""


def are_parts_of_speech(tags: Iterable[str]) -> bool:
    """Whether all of these are parts of speech, or marks, each of which is its own."""
    return all(tag in PARTS_OF_SPEECH or not any(map(str.isalnum, tag)) for tag in tags)
