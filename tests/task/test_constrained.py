"""Which tokens of a completion were decisions, by the embedded model's tokenizer."""

import copy

import pytest

from actors.constrained import GrammarMasks, TargetDecisions, misread
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder
from rnr.task.decoding import taught
from rnr.task.encoding import Piece, PieceEncoder
from rnr.task.grammar import chain_grammar
from rnr.task.prompts import ChatFormat
from rnr.types import Example, Mention


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    folder = embedded_folder(EMBEDDED_MODEL)
    if not folder.is_dir():
        pytest.skip(f"the embedded model is not set up at {folder}: run `make setup`")
    return AutoTokenizer.from_pretrained(folder)


def _decisions(tokenizer, sentence: str, chain: str) -> list[tuple[str, set[str] | None]]:
    """Each token of the chain with the texts that it was chosen from; None where there was nothing to choose."""
    token_ids = [*tokenizer.encode(f"{chain}\n", add_special_tokens=False), tokenizer.eos_token_id]
    masks = GrammarMasks(tokenizer, [tokenizer.eos_token_id])
    allowed = masks.allowed(masks.compile(chain_grammar(sentence, ("person", "city"))), token_ids)
    texts = [None if len(ids) == 1 else {tokenizer.decode(i) for i in ids} for ids in allowed]
    assert all(token in ids for token, ids in zip(token_ids, allowed, strict=True))
    return list(zip(map(tokenizer.decode, token_ids), texts, strict=True))


def test_a_token_decides_where_a_mark_may_begin_end_or_have_another_label(tokenizer) -> None:
    found = _decisions(tokenizer, "met Lovelace in 1843", "met [Lovelace: person] in 1843")
    assert [text for text, choices in found if choices] == ["met", " [", ":", " person", " in", " ", "1"]
    choices = dict(found)
    assert choices["1"] == {"1", "["}  # a blank before a digit is a token of its own
    assert choices[" ["] == {" ", " L", " Lo", " Lov", " Love", " ["}
    assert choices[":"] == {":", " ", " i", " in"}
    assert {" person", " city"} <= choices[" person"]


def test_a_token_that_only_spells_what_has_to_follow_decides_nothing(tokenizer) -> None:
    found = _decisions(tokenizer, "met Lovelace", "met [Lovelace: city]")
    assert [text for text, choices in found if not choices] == ["Lo", "vel", "ace", ":", "]", "\n", "<|im_end|>"]


def test_a_choice_that_has_no_token_of_its_own_is_a_decision_all_the_same(tokenizer) -> None:
    # After "a", a mark of the dash would begin with " [", one of its tokens; before the Chinese letter there are bytes.
    found = _decisions(tokenizer, "a 漢字", "a 漢[字: city]")
    assert [bool(choices) for _, choices in found][:2] == [True, True]
    assert [text for text, choices in found if choices and "[" in choices][-1] == "["


def test_a_token_outside_the_grammar_is_an_error(tokenizer) -> None:
    with pytest.raises(ValueError, match="token 0, b'Bo', is not one of the"):
        _decisions(tokenizer, "Ada ran", "Bo ran")


def test_a_token_that_ends_an_answer_is_no_way_to_copy_a_sentence_that_spells_it(tokenizer) -> None:
    # As for Gemma, whose turns end with another token than its texts.
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.eos_token = "<|endoftext|>"
    ends = (tokenizer.convert_tokens_to_ids("<|im_end|>"), tokenizer.eos_token_id)
    masks = GrammarMasks(tokenizer, ends)
    for name, token in zip(("<|im_end|>", "<|endoftext|>"), ends, strict=True):
        grammar = masks.compile(chain_grammar(f"a {name}", ("person",)))
        begin = [*tokenizer.encode("a", add_special_tokens=False), *tokenizer.encode(" ", add_special_tokens=False)]
        spelt = PieceEncoder(tokenizer).encode([Piece(f"{name}\n")])
        allowed = masks.allowed(grammar, [*begin, *spelt, ends[0]])
        assert [tokenizer.decode(one) for one in allowed[2]] == ["<", "["]
        with pytest.raises(ValueError, match=r"token 2, .*, is not one of the 2 allowed ones"):
            masks.allowed(grammar, [*begin, token])


def test_a_token_for_which_the_model_has_no_embedding_is_no_way_to_copy_a_sentence(tokenizer) -> None:
    # As tokenizer.add_tokens leaves it where the model was not resized: an engine never chooses it.
    tokenizer = copy.deepcopy(tokenizer)
    rows = len(tokenizer)
    tokenizer.add_tokens(["IL_2"])
    tokenizer.add_special_tokens({"eos_token": "<|done|>"})
    assert tokenizer.convert_tokens_to_ids(["IL_2", "<|done|>"]) == [rows, rows + 1]
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    masks = GrammarMasks(tokenizer, [stop, tokenizer.eos_token_id])
    spelt = PieceEncoder(tokenizer).encode([Piece("IL_2 [IL_2: person]\n")])
    allowed = masks.allowed(masks.compile(chain_grammar("IL_2 IL_2", ("person",))), [*spelt, stop])
    assert max(map(max, allowed)) < rows
    assert {tokenizer.decode(one) for one in allowed[0]} == {"I", "IL", "["}
    why = "no grammar can end with the tokenizer's eos_token, '<|done|>': the model has no embedding for it"
    assert misread(tokenizer, stop, "marks") == misread(tokenizer, stop, "schema") == why


def test_no_id_beyond_the_vocabulary_is_allowed_where_its_size_does_not_fill_the_mask(tokenizer, monkeypatch) -> None:
    rows = len(tokenizer) - 5  # 49,147: the mask has room for 49,152
    monkeypatch.setattr("actors.constrained.embedding_rows", lambda _folder: rows)
    masks = GrammarMasks(tokenizer, [tokenizer.eos_token_id])
    (ids,) = masks.allowed(masks.compile("root ::= [^x]*"), tokenizer.encode("a"))
    assert max(ids) < rows


def test_the_grammars_of_sentences_are_not_kept(tokenizer) -> None:
    masks = GrammarMasks(tokenizer, [tokenizer.eos_token_id])
    sizes = [masks.compile(chain_grammar(f"sentence {n}", ("person",))).memory_size_bytes for n in range(3)]
    assert min(sizes) > 0
    assert masks._compiler.get_cache_size_bytes() == 0


def test_the_decisions_of_a_target_are_those_of_the_rollout_that_says_the_same(tokenizer) -> None:
    mention = Mention(text="Lovelace", label="person", start=4, end=12)
    example = Example(uid="1", sentence="met Lovelace", schema=("person", "city"), mentions=(mention,))
    mentions, chain = taught(example, "marks")
    chat = ChatFormat(tokenizer)
    target = chat.target(mentions, chain)
    allowed = TargetDecisions(tokenizer, chat.stop_token_id, chat.opening).allowed(example, chain, target)
    found = [(tokenizer.decode(token), len(ids)) for token, ids in zip(target, allowed, strict=True) if len(ids) > 1]
    rollout = _decisions(tokenizer, example.sentence, chain)
    assert found == [(text, len(choices)) for text, choices in rollout if choices]
    with pytest.raises(ValueError, match="does not begin with its chain"):
        TargetDecisions(tokenizer, chat.stop_token_id, chat.opening).allowed(example, "met", target)


@pytest.mark.parametrize("after", ["", " ", "  ", "\n", " \n"])
def test_the_decisions_of_a_target_are_found_whatever_white_space_ends_its_sentence(tokenizer, after: str) -> None:
    # At the end of a text " \n" is one token, and before </think> it is two.
    mention = Mention(text="Lovelace", label="person", start=4, end=12)
    example = Example(uid="1", sentence=f"met Lovelace{after}", schema=("person", "city"), mentions=(mention,))
    mentions, chain = taught(example, "marks")
    chat = ChatFormat(tokenizer)
    target = chat.target(mentions, chain)
    allowed = TargetDecisions(tokenizer, chat.stop_token_id, chat.opening).allowed(example, chain, target)
    decided = [tokenizer.decode(token) for token, ids in zip(target, allowed, strict=True) if len(ids) > 1]
    assert decided[:3] == ["met", " [", " person"]
