"""Prompts and targets under many shapes of chat template and tokenizer: exact, or refused by one clear message."""

import asyncio
import random
from dataclasses import replace

import pytest

from actors.engine import Completion, Sampling
from actors.rollout import rollout
from rnr.task.decoding import taught
from rnr.task.encoding import Piece, PieceEncoder
from rnr.task.parsing import parse
from rnr.task.prompts import ChatFormat
from rnr.task.wording import COMPACT, INSTRUCTION, REFERENCE
from rnr.types import Example, Mention, Segment
from tests.chat_models import CONTROLS, TEMPLATES, THINK, tokenizer

KINDS = ("byte-level", "metaspace", "legacy", "unigram")
UNFIT = {("legacy", "deepseek-r1")}
"""A space after every control token, and an answer that begins right behind one."""
SHAPES = [(kind, shape) for kind in KINDS for shape in TEMPLATES if (kind, shape) not in UNFIT]
NO_SYSTEM = {"gemma", "mistral, no system", "deaf"}
STOPS = {
    **dict.fromkeys(TEMPLATES, "<|im_end|>"),
    **dict.fromkeys(("llama-3", "phi-3"), "<|eot|>"),
    **dict.fromkeys(("mistral", "mistral, no system", "deepseek-r1", "olmo"), "</s>"),
    "glm": "<|user|>",
}


SPACED = ("legacy", "always", "byte-level, prefix")
"""Kinds that put a space before every piece of text between control tokens."""


def _chat(kind: str, shape: str, **options):
    tok = tokenizer(kind, **options)
    tok.chat_template = TEMPLATES.get(shape, shape)
    return tok, ChatFormat(tok)


def _example(sentence: str) -> Example:
    return Example(uid="1", sentence=sentence, schema=("person", "place"), mentions=())


def _rendered(tok, shape: str, example: Example) -> str:
    message = COMPACT.message(example, {})
    if shape in NO_SYSTEM:
        conversation = [{"role": "user", "content": f"{INSTRUCTION}\n\n{message}"}]
    else:
        conversation = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": message}]
    return tok.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)


def _controls(tok, token_ids) -> list[int]:
    added = {token for text, token in tok.get_added_vocab().items() if text != "<unk>"}
    return [token for token in token_ids if token in added]


def _after_prompt(tok, prompt, target) -> str:
    """What a rollout worker reads as the text of this completion."""
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    before, whole = (tok.decode(ids, **options) for ids in (prompt.token_ids, [*prompt.token_ids, *target]))
    assert whole.startswith(before)
    return prompt.opening + whole[len(before) :]


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_a_prompt_has_the_ids_of_the_templates_own_encoding(kind: str, shape: str) -> None:
    tok, chat = _chat(kind, shape)
    for sentence in (
        "Ada is here.",
        " Two  spaces ",
        "é 東京\tand\nmore\n",
        "ends in a blank line\n\n",
        "[in] {brackets}",
    ):
        example = _example(sentence)
        own = tok.encode(_rendered(tok, shape, example), add_special_tokens=False)
        assert list(chat.prompt(example).token_ids) == own, sentence


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_text_is_text_whatever_it_spells(kind: str, shape: str) -> None:
    tok, chat = _chat(kind, shape)
    generator = random.Random(f"{kind}/{shape}")
    parts = (*CONTROLS, *THINK, "Ada", "x", " ", "  ", "\n", "<", ">", "|", "[", "INST]", "<0x0A>", "1815", "/no_think")
    plain = _controls(tok, chat.prompt(_example("Ada")).token_ids)
    for _ in range(40):
        sentence = "A" + "".join(generator.choices(parts, k=generator.randint(1, 9))) + "."
        example = _example(sentence)
        token_ids = chat.prompt(example).token_ids
        assert _controls(tok, token_ids) == plain, sentence
        if "<unk>" not in tok.convert_ids_to_tokens(token_ids):
            text = tok.decode(token_ids, clean_up_tokenization_spaces=False)
            if kind == "legacy":  # which shows a space after every control token, here as in its own encoding
                assert COMPACT.message(example, {}) in text, sentence
            else:
                assert text == _rendered(tok, shape, example), sentence


@pytest.mark.parametrize("kind", KINDS)
def test_a_thinking_token_is_no_control_token_in_a_sentence_though_it_is_not_special(kind: str) -> None:
    tok, chat = _chat(kind, "qwen3")
    think = tok.convert_tokens_to_ids("<think>")
    assert think in tok.encode("x <think> y", add_special_tokens=False, split_special_tokens=True)
    assert think not in chat.prompt(_example("x <think> y </think> z")).token_ids
    target = chat.target([Mention(text="<think>", label="person")], "a chain")
    assert target.count(think) == (kind != "legacy")  # the marker's own, spelt where it would put a space behind itself


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_a_target_is_read_back_as_written_and_ends_with_the_stop_token_once(kind: str, shape: str) -> None:
    tok, chat = _chat(kind, shape)
    assert tok.convert_ids_to_tokens(chat.stop_token_id) == STOPS[shape]
    mentions = (Mention(text="Ada", label="person"), Mention(text="London", label="place"))
    prompt = chat.prompt(_example("Ada in London."))
    for reasoning in ("Ada is here.", '{"not": "json"', "  two\n\n lines \n", "```", "born in [Lon</s>don: city]"):
        target = chat.target(mentions, reasoning)
        assert target[-1] == chat.stop_token_id
        assert chat.stop_token_id not in target[:-1]
        if kind == "legacy" and "</s>" in reasoning:
            continue  # as everywhere behind a control token it would show a space
        answer = parse(_after_prompt(tok, prompt, target))
        assert (answer.reasoning, answer.mentions, answer.error) == (reasoning, mentions, None)


@pytest.mark.parametrize("think", ["added", "text"])
@pytest.mark.parametrize("shape", ["chatml", "mistral"])
@pytest.mark.parametrize("kind", SPACED)
def test_a_tokenizer_that_puts_a_space_before_every_text_loses_no_training_sentence(kind, shape, think) -> None:
    from cluster.encoding import PromptEncoder

    tok, chat = _chat(kind, shape, think=think)
    rows = [("Ada was born in London.", "Ada", "person"), ("xml: x x Ada x", "Ada", "place"), (" [x] ", "x", "person")]
    examples = []
    for sentence, text, label in rows:
        at = sentence.index(text)
        mention = Mention(text=text, label=label, start=at, end=at + len(text))
        schema = ("person", "place", "assistant", "model", "x-ray")
        examples.append(Example(uid="1", sentence=sentence, schema=schema, mentions=(mention,)))
    encoder = PromptEncoder(chat)
    assert [encoder._changed_text(example) for example in examples] == ["", "", ""]
    for decoding in ("marks", "schema"):
        for example in examples:
            mentions, reasoning = taught(example, decoding)
            prompt = encoder.prompt(example)
            answer = parse(_after_prompt(tok, prompt, chat.target(mentions, reasoning)))
            assert [(one.text, one.label) for one in answer.mentions] == [(one.text, one.label) for one in mentions]
            assert (answer.reasoning, answer.error) == (reasoning, None)


@pytest.mark.parametrize("kind", ["byte-level", "metaspace", *SPACED])
def test_what_continues_a_text_in_the_middle_of_a_token_has_no_space_before_it(kind: str) -> None:
    encoder = PieceEncoder(tokenizer(kind, think="text"))
    for begun, rest in (("</think", ">\n"), ("</thin", "k>\n"), ("</", "think>\n"), ("Lo", "ndon"), ("a  ", " b")):
        context, more = [Piece(begun, markup=True)], [Piece(rest)]
        token_ids = [*encoder.encode(context), *encoder.encode_after(context, more)]
        said = tokenizer(kind, think="text").decode(token_ids, clean_up_tokenization_spaces=False)
        assert said.lstrip() == begun + rest


@pytest.mark.parametrize("shape", TEMPLATES)
def test_the_reasoning_is_opened_once_by_the_prompt_or_by_the_answer(shape: str) -> None:
    tok, chat = _chat("byte-level", shape)
    prompt, target = chat.prompt(_example("Ada.")), chat.target([], "why")
    opens = shape in ("qwen3, thinking", "deepseek-r1")
    assert prompt.opening == {"qwen3, thinking": "<think>\n", "deepseek-r1": "<think>"}.get(shape, "")
    assert (tok.convert_tokens_to_ids("<think>") in target) is not opens
    assert _after_prompt(tok, prompt, target).strip() == '<think>\nwhy\n</think>\n{"entities":{}}'
    bare = _after_prompt(tok, prompt, chat.target([], None)).strip()
    assert bare == ('<think>\n\n</think>\n{"entities":{}}' if opens else '{"entities":{}}')


@pytest.mark.parametrize("kind", ["byte-level", "metaspace"])
def test_a_token_that_ends_a_turn_and_is_not_special_is_no_part_of_an_answer(kind: str) -> None:
    from actors.constrained import Decoder
    from rnr.types import Group, Rollout

    tok, chat = _chat(kind, "chatml", plain="<|im_end|>")
    target = chat.target([Mention(text="Ada", label="person")], None)
    assert tok.convert_ids_to_tokens(target[-1]) == "<|im_end|>"
    assert target[-1] == chat.stop_token_id
    answer = '{"entities":{"person":["Ada"]}}'
    assert tok.decode(target[:-1]) == answer
    prompt = replace(chat.prompt(_example("Ada ran.")), decoding="schema")

    async def complete(prompt, sampling, *, grammar="", stop="") -> Group:
        segment = Segment(token_ids=target, logprobs=(-1.0,) * len(target), policy_version=0)
        said = tok.decode(target, skip_special_tokens=True)  # as vLLM gives it beside a stop string
        assert said == f"{answer}<|im_end|>"
        return Group(prompt=prompt, rollouts=(Rollout(segments=(segment,), text=said, finished=True),))

    sampling = Sampling(count=1, temperature=0.0, max_new_tokens=99)
    (made,) = asyncio.run(Decoder(complete, tok, chat.stop_token_id).generate(prompt, sampling)).rollouts
    assert (made.text, made.token_ids) == (answer, target)


def test_what_a_template_writes_between_an_answer_and_its_end_is_learnt_too() -> None:
    tok, chat = _chat("byte-level", "olmo")
    newline, end = tok.encode("\n</s>", add_special_tokens=False)
    target = chat.target([], None)
    assert target[-2:] == (newline, end)
    assert chat.stop_token_id == end
    # A newline stands in every target with a chain: it can not be what ends it.
    assert newline in chat.target([], "why")[:-2]


def test_white_space_between_a_prompt_and_its_answer_is_the_answers() -> None:
    tok, chat = _chat("byte-level", "mistral")
    assert tok.decode(chat.target([], None)) == ' {"entities":{}}</s>'
    tok, chat = _chat("byte-level", "glm")
    assert tok.decode(chat.target([], None)) == '\n{"entities":{}}<|user|>'


def test_markers_that_are_special_tokens_are_spelt_because_decoding_would_drop_them() -> None:
    tok, chat = _chat("byte-level", "chatml", think="special")
    target = chat.target([], "why")
    assert tok.convert_tokens_to_ids("<think>") not in target
    assert parse(tok.decode(target, skip_special_tokens=True)).reasoning == "why"


@pytest.mark.parametrize("shape", ["chatml", "phi-3", "gemma"])
def test_a_control_token_that_takes_the_white_space_beside_it_does_so_here_too(shape: str) -> None:
    flags = {"<|user|>": {"rstrip": True}, "<|im_start|>": {"rstrip": True}, "<|im_end|>": {"lstrip": True}}
    tok, chat = _chat("byte-level", shape, flags=flags)
    for sentence in ("Ada is here.", "Ada is here.  "):
        own = tok.encode(_rendered(tok, shape, _example(sentence)), add_special_tokens=False)
        assert list(chat.prompt(_example(sentence)).token_ids) == own


def test_without_a_system_role_the_instruction_stands_in_the_users_message_and_that_is_said() -> None:
    for shape in TEMPLATES:
        tok, chat = _chat("byte-level", shape)
        text = tok.decode(chat.prompt(_example("Ada.")).token_ids)
        assert text.count(INSTRUCTION) == 1, shape
        said = "model.path: the chat template has no system role: the instruction is in the user's message"
        assert (said in chat.notes) is (shape in NO_SYSTEM), shape
    tok = tokenizer("byte-level")
    tok.chat_template = TEMPLATES["gemma"]
    assert ChatFormat(tok, REFERENCE).notes == ()


def test_a_template_that_writes_the_date_writes_the_same_one_every_day_and_that_is_said(monkeypatch) -> None:
    from datetime import datetime

    import transformers.utils.chat_template_utils as rendering

    dated = "{% macro today() %}{{ strftime_now('%d %b %Y') }}{% endmacro %}{{ today() }}\n" + TEMPLATES["chatml"]
    said = "model.path: the chat template writes the date: RNR always sets it to 2024-07-26, in training and prediction"
    asked = []
    for day in (29, 30):
        now = datetime(2026, 11, day)
        monkeypatch.setattr(rendering, "datetime", type("Clock", (), {"now": staticmethod(lambda now=now: now)}))
        tok, chat = _chat("byte-level", dated)
        assert tok.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False).startswith(f"{day} Nov 2026")
        assert chat.notes == (said,)
        asked.append(chat.prompt(_example("Ada ran.")).token_ids)
    assert asked[0] == asked[1]
    assert tok.decode(asked[0]).startswith("26 Jul 2024\n<|im_start|>system")
    assert _chat("byte-level", "chatml")[1].notes == ()


def test_words_that_were_added_to_a_vocabulary_are_text_and_what_is_kept_out_is_named() -> None:
    from actors.constrained import TargetDecisions
    from rnr.task.chains import tagged_chain

    words = ["COVID-19", "mRNA", "remdesivir"]
    odd = ["assistant", "Zürich", "<tool>", "[PAD]"]  # the template's, letters beyond ASCII, markup
    sentence = "The mRNA-based remdesivir, for COVID-19 (Zürich; assistant) <tool>."
    at = sentence.index("remdesivir")
    mentions = (Mention(text="remdesivir", label="drug", start=at, end=at + len("remdesivir")),)
    example = Example(uid="1", sentence=sentence, schema=("drug", "city"), mentions=mentions)
    for kind in ("byte-level", "newline in token", "metaspace"):
        tok = tokenizer(kind)
        tok.add_tokens([*words, *odd])
        tok.chat_template = TEMPLATES["chatml"]
        chat = ChatFormat(tok)
        prompt, chain = chat.prompt(example), tagged_chain(example)
        added = [token for token in tok.convert_ids_to_tokens(prompt.token_ids) if token in (*words, *odd)]
        assert added == ["mRNA", "remdesivir", "COVID-19", "assistant"]  # the last is the template's own
        assert chat.shows_sentence(prompt)
        assert chat.largest_token_id >= tok.convert_tokens_to_ids("remdesivir")
        assert chat.notes == ("model.path: 2 added tokens are not used in sentences: 'assistant', 'Zürich'",)
        target = chat.target(mentions, chain)
        assert target.count(tok.convert_tokens_to_ids("remdesivir")) == 2
        allowed = TargetDecisions(tok, chat.stop_token_id, chat.opening).allowed(example, chain, target)
        assert len(allowed) == len(target)


def test_a_tokenizer_whose_file_tells_where_to_cut_and_how_to_fill_up_does_neither() -> None:
    words = [f"remdesivir{number}" for number in range(40)]
    examples = [_example(f"They took {word} today.") for word in words]
    found = []
    for cut in (False, True):
        tok = tokenizer("byte-level")
        tok.add_tokens(words)
        tok.chat_template = TEMPLATES["chatml"]
        if cut:
            tok.backend_tokenizer.enable_truncation(16)
            tok.backend_tokenizer.enable_padding(length=64)
        chat = ChatFormat(tok)
        found.append([chat.prompt(example).token_ids for example in examples])
        assert [chat.shows_sentence(chat.prompt(example)) for example in examples] == [True] * 40
        assert tok.convert_tokens_to_ids(words[7]) in chat.prompt(examples[7]).token_ids
    assert found[0] == found[1]


def test_added_words_stay_out_where_the_text_about_them_would_not_come_back() -> None:
    from tokenizers import AddedToken

    tok = tokenizer("byte-level")
    tok.add_tokens([AddedToken("mRNA", lstrip=True), "remdesivir"])
    tok.chat_template = TEMPLATES["chatml"]
    chat = ChatFormat(tok)
    assert chat.notes == ("model.path: 2 added tokens are not used in sentences: 'mRNA', 'remdesivir'",)
    assert chat.shows_sentence(chat.prompt(_example("The mRNA of remdesivir.")))


def test_a_prompt_cannot_be_changed_by_what_a_sentence_says() -> None:
    """Some templates look for commands such as /no_think in what the user says."""
    close = "{% if '/no_think' in messages[-1].content %}<think>\n\n</think>\n\n{% endif %}"
    tok, chat = _chat(
        "byte-level", TEMPLATES["chatml"].replace("assistant\n{% endif %}", f"assistant\n{close}{{% endif %}}")
    )
    end = tok.decode(chat.prompt(_example("Ada wrote /no_think here.")).token_ids)
    assert end.endswith("<|im_start|>assistant\n")


_ASSISTANT = "{% if add_generation_prompt %}\nassistant: {% endif %}"
REFUSED = {
    "{% for m in messages %}{{ m.content }}{% if %}": r"fails on a conversation of user: TemplateSyntaxError, line 1",
    "{{ raise_exception('Only tools here') }}": r"fails on a conversation of user: TemplateError: Only tools here",
    "{% for m in messages %}<|im_start|>{{ m.content }}{{ m.content }}<|im_end|>{% endfor %}": "user's message 2 times",
    "{% for m in messages %}<|im_start|>{{ m.role }}<|im_end|>{% endfor %}": "leaves out the user's message",
    TEMPLATES["chatml"].replace("m.content", "m.content | upper"): "changes its messages|leaves out",
    TEMPLATES["chatml"].replace("m.content", "m.content.replace('  ', ' ')"): "changes its messages",
    TEMPLATES["chatml"].replace("m.content", "m.content | e"): "changes its messages",
    TEMPLATES["chatml"].replace("{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", ""): (
        r"writes '<\|im_start\|>assistant\\n' before an answer, which its generation prompt lacks"
    ),
    TEMPLATES["chatml"].replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n[THINK]{% endif %}"): (
        r"begins an answer differently from its generation prompt: '' for '\[THINK\]'"
    ),
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: ": "an answer|differently from",
    f"{{% for m in messages %}}\n{{{{ m.role }}}}: {{{{ m.content }}}}{{% endfor %}}{_ASSISTANT}": (
        "closes an answer with '', which is not a control token"
    ),
    f"{{% for m in messages %}}\n{{{{ m.role }}}}: {{{{ m.content }}}}<eos>{{% endfor %}}{_ASSISTANT}": (
        r"closes an answer with '<eos>', which is not a control token"
    ),
}


@pytest.mark.parametrize("template", REFUSED)
def test_a_template_that_cannot_be_followed_is_refused_with_what_it_does(template: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[template]) as refusal:
        _chat("byte-level", template)
    assert str(refusal.value).startswith("model.path: ")


def test_a_refusal_names_the_file_of_the_template(tmp_path) -> None:
    tok = tokenizer("byte-level")
    tok.name_or_path = str(tmp_path)
    with pytest.raises(ValueError, match=f"model.path: {tmp_path} has no chat template: put"):
        ChatFormat(tok)
    tok.chat_template = "a\n{% for %}"
    (tmp_path / "chat_template.jinja").write_text(tok.chat_template)
    with pytest.raises(
        ValueError, match=r"chat_template.jinja: the chat template fails .* TemplateSyntaxError, line 2"
    ):
        ChatFormat(tok)


def test_a_tokenizer_that_does_not_give_text_back_is_refused() -> None:
    with pytest.raises(ValueError, match="does not reproduce an answer"):
        _chat("word-piece", "chatml")
    with pytest.raises(ValueError, match=r"<think> \\nAda"):
        _chat("legacy", "deepseek-r1")


def test_what_a_tokenizer_changes_is_told_with_its_cause_and_its_remedy() -> None:
    from tokenizers import normalizers

    said = "the tokenizer does not reproduce the text: "
    _, chat = _chat("unigram", "chatml")
    assert chat.round_trip("Ada in London.") == "Ada in London."
    lacks = said + r"'in Z\xfcrich' becomes 'in Zrich' (its vocabulary lacks characters): use another model"
    assert chat.change_of("in Zürich") == lacks
    for kind in ("byte-level", "metaspace"):
        tok, chat = _chat(kind, "chatml")
        prompt = chat.prompt(_example("at \xbd Main\xa0Street"))
        assert chat.shows_sentence(prompt)
        assert chat.round_trip("at \xbd Main\xa0Street") == "at \xbd Main\xa0Street"
        tok.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("`", "'")])
        chat = ChatFormat(tok)
        assert not chat.shows_sentence(chat.prompt(_example("at \xbd Main\xa0Street")))
        changes = r"'at \xbd' becomes 'at 1\u20442' (its normalizer is NFKC, Replace): "
        changes += "write the data in the Unicode form NFKC"
        assert chat.change_of("at \xbd") == said + changes


def test_a_tokenizer_without_its_file_is_refused() -> None:
    class Slow:
        name_or_path = "/models/slow"
        chat_template = "x"

        def apply_chat_template(self, conversation, **options) -> str:
            turns = [f"<{message['role']}>{message['content']}</s>" for message in conversation]
            return "".join(turns) + ("<assistant>" if options.get("add_generation_prompt") else "")

    with pytest.raises(ValueError, match=r"model.path: /models/slow: the tokenizer \(Slow\) has no tokenizer.json"):
        ChatFormat(Slow())  # type: ignore[arg-type]


def test_a_stop_token_inside_an_answer_is_an_error() -> None:
    # One token both for what the vocabulary lacks and for the end of a turn.
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted({*"abcdefghijklmnopqrstuvwxyzALNF0123456789 \n{}[]<>/\":.,()'|_"})
    backend = Tokenizer(
        models.BPE(vocab={"<end>": 0, **{x: n for n, x in enumerate(letters, 1)}}, merges=[], unk_token="<end>")
    )
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(
        [AddedToken("<end>", special=True, normalized=False), *map(AddedToken, ("<|u|>", "<|a|>"))]
    )
    tok = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", unk_token="<end>")
    tok.chat_template = (
        "{% for m in messages %}{{ '<|u|>' if m.role == 'user' else '<|a|>' }}{{ m.content }}<end>{% endfor %}"
        "{% if add_generation_prompt %}<|a|>{% endif %}"
    )
    chat = ChatFormat(tok)
    assert chat.target([], "fine")[-1] == chat.stop_token_id
    with pytest.raises(ValueError, match="the stop token occurs inside an answer"):
        chat.target([Mention(text="Zürich", label="city")], "why")


def test_the_text_of_a_rollout_begins_with_what_its_prompt_opened() -> None:
    tok, chat = _chat("byte-level", "qwen3, thinking")
    prompt, target = chat.prompt(_example("Ada.")), chat.target([Mention(text="Ada", label="person")], "why")
    text = tok.decode(target, skip_special_tokens=True)
    ends = tuple(len(tok.decode(target[: n + 1], skip_special_tokens=True)) for n in range(len(target)))

    class Engine:
        async def generate(self, token_ids, sampling) -> list[Completion]:
            assert token_ids == prompt.token_ids
            segment = Segment(token_ids=target, logprobs=(-1.0,) * len(target), policy_version=3)
            return [Completion(segments=(segment,), text=text, finished=True, ends=ends)]

    sampling = Sampling(count=1, temperature=1.0, max_new_tokens=99)
    (made,) = asyncio.run(rollout(Engine(), prompt, sampling)).rollouts  # type: ignore[arg-type]
    assert made.text == '<think>\nwhy\n</think>\n{"entities":{"person":["Ada"]}}'
    assert parse(made.text).mentions == (Mention(text="Ada", label="person"),)
    assert made.text[len("<think>\n") : made.ends[0]] == tok.decode(target[:1])
    assert made.ends[-1] == len(made.text)


@pytest.mark.parametrize("shape", ["chatml", "qwen3, thinking", "deepseek-r1"])
def test_a_decoder_puts_the_rest_of_the_opening_that_the_warm_start_teaches(shape: str) -> None:
    from actors.constrained import Decoder, TargetDecisions
    from rnr.types import Group, Rollout

    tok, chat = _chat("byte-level", shape, think="added")
    assert chat.opens_plainly
    example = _example("Ada ran <|im_end|>.")
    prompt, chain = replace(chat.prompt(example), decoding="marks"), "[Ada: person] ran <|im_end|>."
    asked = []

    async def complete(opened, sampling, *, grammar="", stop="") -> Group:
        asked.append(opened)
        ids = tuple(tok.encode("[Ada: person] ran.\n", add_special_tokens=False))
        segment = Segment(token_ids=ids, logprobs=(-1.0,) * len(ids), policy_version=0)
        ended = Rollout(segments=(segment,), text=opened.opening + "[Ada: person] ran.\n", finished=False)
        return Group(prompt=opened, rollouts=(ended,))

    sampling = Sampling(count=1, temperature=0.0, max_new_tokens=99)
    (made,) = asyncio.run(Decoder(complete, tok, chat.stop_token_id).generate(prompt, sampling)).rollouts
    given = asked[0].token_ids[len(prompt.token_ids) :]
    target = chat.target([Mention(text="Ada", label="person")], "[Ada: person] ran.")
    assert given == target[: len(given)]
    assert made.token_ids[: len(given)] == given
    assert made.text == "<think>\n[Ada: person] ran.\n"
    taught = chat.target([Mention(text="Ada", label="person")], chain)
    decided = TargetDecisions(tok, chat.stop_token_id, chat.opening).allowed(example, chain, taught)
    assert len(decided) == len(taught)


def test_marks_are_refused_where_an_answer_does_not_open_as_the_decoder_would() -> None:
    from actors.chat_format import refuse_unfollowed

    for kind, shape, think in (
        ("byte-level", "mistral", "added"),
        ("byte-level", "chatml", "special"),
        ("legacy", "chatml", "added"),
    ):
        _, chat = _chat(kind, shape, think=think)
        assert not chat.opens_plainly
        refuse_unfollowed(chat, "schema")
        with pytest.raises(ValueError, match=r'set sampling.decoding to "auto", "schema" or "free"'):
            refuse_unfollowed(chat, "marks")


def test_a_grammar_is_refused_where_it_cannot_read_the_tokens() -> None:
    from actors.chat_format import refuse_unfollowed, unfollowed

    _, chat = _chat("unigram", "chatml")
    assert chat.opens_plainly
    refuse_unfollowed(chat, "free")
    for decoding, token in (("marks", "["), ("schema", "Lovelace")):
        read = repr(f"\u2581{token}".encode())
        said = f'decoding "{decoding}": this tokenizer cannot be decoded under a grammar, which reads a token as {read}'
        with pytest.raises(ValueError) as refusal:
            refuse_unfollowed(chat, decoding)  # type: ignore[arg-type]
        assert str(refusal.value) == f"{said}: set decoding to free"
    for kind in ("byte-level", "metaspace", "legacy"):
        for think in ("added", "special", "text"):
            _, chat = _chat(kind, "chatml", think=think)
            assert (unfollowed(chat, "marks"), unfollowed(chat, "schema")) == ("", "")
