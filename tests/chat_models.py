"""Small tokenizers of several kinds and chat templates in the shapes of known families, written for the tests."""

from string import ascii_letters, digits, punctuation

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = [
    "Labels: person, city, place\nSentence: Ada Lovelace was born in London in 1815.",
    'Find the named entities. Think, then answer {"entities":{label:[text]}}',
    '<think>\nAda is a [person: Ada Lovelace] in London.\n</think>\n{"entities":{"person":["Ada"]}}',
    "system user assistant model [INST] [/INST] <|im_start|> <|im_end|> < think > end of turn header id",
]

CONTROLS = (
    "<s>",
    "</s>",
    "<unk>",
    "<|im_start|>",
    "<|im_end|>",
    "<|user|>",
    "<|assistant|>",
    "<|eot|>",
    "[INST]",
    "[/INST]",
)
THINK = ("<think>", "</think>")


def tokenizer(
    kind: str, *, think: str = "added", flags: dict | None = None, plain: str = ""
) -> PreTrainedTokenizerFast:
    """A tokenizer trained on a few lines. ``think`` says what the two markers are: ``added`` tokens that are not
    special (as in Qwen3), ``special`` ones, or ``text``; ``plain`` names a control token that is not special."""
    controls = [AddedToken(text, special=True, normalized=False, **(flags or {}).get(text, {})) for text in CONTROLS]
    backend = _KINDS[kind]([token.content for token in controls])
    backend.add_special_tokens([token for token in controls if token.content != plain])
    if plain:
        backend.add_tokens([AddedToken(plain, special=False, normalized=False)])
    if think != "text":
        backend.add_tokens([AddedToken(text, special=think == "special", normalized=False) for text in THINK])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _byte_level(_special: list[str]) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(TEXT, trainer)
    return backend


_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _prefixed_bytes(special: list[str]) -> Tokenizer:
    """As RoBERTa's: a space before every piece of text between control tokens."""
    backend = _byte_level(special)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return backend


def _newline_in_token(_special: list[str]) -> Tokenizer:
    """As those of Llama-3, Qwen2.5 and Tekken: signs and the newline behind them are cut as one word."""
    backend = _byte_level([])
    split = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator([*TEXT, *["<div>\n</div>\n<p>{x}\n"] * 9], trainer)
    return backend


def _metaspace_bpe(special: list[str], *, prepend: str = "first") -> Tokenizer:
    """As Llama-2's and Mistral's: characters with byte fallback, one prefix space."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend, split=False)
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*special, *fallback], show_progress=False)
    backend.train_from_iterator(TEXT, trainer)
    scheme = backend.pre_tokenizer
    backend = Tokenizer(backend.model)  # without the bytes as added tokens
    backend.pre_tokenizer = scheme
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    return backend


def _always(special: list[str]) -> Tokenizer:
    """As transformers makes it of Llama-2's legacy form where ``tokenizer_config.json`` asks for it."""
    return _metaspace_bpe(special, prepend="always")


def _legacy(special: list[str]) -> Tokenizer:
    """As Llama-2's legacy form: a normaliser puts a space before every piece of text between control tokens."""
    backend = _metaspace_bpe(special)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("(?!)"), "isolated")
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return backend


def _unigram(special: list[str]) -> Tokenizer:
    """Its model has the control tokens in its own vocabulary and would make them of text by itself."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    letters = "".join((*TEXT, *special, *THINK, ascii_letters, digits, punctuation))
    alphabet = sorted(set(letters) - {" "})
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=special, unk_token="<unk>", initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TEXT, trainer)
    return backend


def _word_piece(special: list[str]) -> Tokenizer:
    backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.WordPiece(cleanup=False)
    backend.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    return backend


_KINDS = {
    "byte-level": _byte_level,
    "byte-level, prefix": _prefixed_bytes,
    "newline in token": _newline_in_token,
    "metaspace": _metaspace_bpe,
    "legacy": _legacy,
    "always": _always,
    "unigram": _unigram,
    "word-piece": _word_piece,
}

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
_ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/...') }}{% endif %}{% endfor %}"
)

TEMPLATES = {
    "chatml": _CHATML,
    # A header for each turn, content trimmed, one end-of-turn token.
    "llama-3": (
        "<s>{% for m in messages %}<|user|>{{ m.role }}<|assistant|>\n\n{{ m.content | trim }}<|eot|>{% endfor %}"
        "{% if add_generation_prompt %}<|user|>assistant<|assistant|>\n\n{% endif %}"
    ),
    # No system role, turns must alternate, content trimmed.
    "gemma": "<s>"
    + _NO_SYSTEM
    + _ALTERNATE
    + (
        "{% for m in messages %}<|im_start|>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
    ),
    # Markers that are text or tokens, a space before the answer, eos behind it; the system message in the user's turn.
    "mistral": (
        "{% if messages[0].role == 'system' %}{% set s = messages[0].content + '\n\n' %}{% set rest = messages[1:] %}"
        "{% else %}{% set s = '' %}{% set rest = messages %}{% endif %}<s>{% for m in rest %}{% if m.role == 'user' %}"
        "[INST] {{ s + m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
    ),
    # As the last, but alternating, without any system role, and no space.
    "mistral, no system": "<s>"
    + _ALTERNATE
    + (
        "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]"
        "{% else %}{{ m.content }}</s>{% endif %}{% endfor %}"
    ),
    # An answer without reasoning is written with an empty one.
    "qwen3": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n"
        "{{ m.content.split('</think>')[-1].lstrip('\n') }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    # Only the generation prompt opens the reasoning.
    "qwen3, thinking": _CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}"),
    "deepseek-r1": (
        "<s>{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}<|user|>"
        "{{ m.content }}{% else %}<|assistant|>{{ m.content.split('</think>')[-1] }}</s>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|><think>{% endif %}"
    ),
    # The generation prompt closes an empty reasoning.
    "no thinking": _CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n\n</think>\n\n{% endif %}"),
    "phi-3": (
        "{% for m in messages %}<|{{ 'assistant' if m.role == 'assistant' else 'user' }}|>\n{{ m.content }}<|eot|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    ),
    # The generation prompt has no newline, the answer begins with one.
    "glm": (
        "<s>{% for m in messages %}<|{{ 'assistant' if m.role == 'assistant' else 'user' }}|>\n{{ m.content }}"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% else %}<|user|>{% endif %}"
    ),
    # Markup that is text, and content, newline, eos.
    "olmo": (
        "<s>{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n{% if m.role == 'assistant' %}</s>\n{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}### assistant:\n{% endif %}"
    ),
    # A block of metadata before the system message, and a default where there is none.
    "smollm3": (
        "{% set first = messages[0].role == 'system' %}<|im_start|>system\n## Metadata\nReasoning Mode: /think\n\n"
        "{% if first %}{{ messages[0].content.rstrip() }}{% else %}You are helpful.{% endif %}\n\n<|im_end|>\n"
        "{% for m in messages %}{% if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    # A system message is passed over in silence.
    "deaf": (
        "{% for m in messages %}{% if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}
