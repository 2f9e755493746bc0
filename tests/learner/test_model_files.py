"""A model folder that is broken is refused by the name of the file, and code that it brings is never run."""

import json
import math
import shutil
from fnmatch import fnmatch
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import pytest
import sentencepiece as spm
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from tokenizers import Regex, normalizers, pre_tokenizers
from transformers import AutoTokenizer

from actors.chat_format import chat_format
from actors.model_files import load_tokenizer, read_tokenizer
from cluster.prepare import Prepared
from learner.files import stored_shapes
from rnr.model_folder import EMBEDDED_MODEL, count_weights, embedded_folder, resolve
from tests.chat_models import TEMPLATES, tokenizer

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""How Qwen's tokenizers split words."""


@pytest.fixture
def model(tmp_path):
    """The embedded model's description and tokenizer, and weights of one number."""
    source = embedded_folder(EMBEDDED_MODEL)
    if not source.is_dir():
        pytest.skip(f"the embedded model is not set up at {source}: run `make setup`")
    folder = tmp_path / "model"
    folder.mkdir()
    for name in FILES:
        if (source / name).is_file():
            shutil.copy(source / name, folder)
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    return folder


def test_pickles_of_the_hub_are_fetched_where_they_are_allowed_and_nothing_else_is_there(tmp_path, monkeypatch) -> None:
    stored, fetched = {"config.json": b"{}", "pytorch_model.bin": b"1234"}, []

    def download(_model: str, *, allow_patterns: list[str], ignore_patterns: str = "") -> str:
        for name, content in stored.items():
            if any(fnmatch(name, pattern) for pattern in allow_patterns) and not fnmatch(name, ignore_patterns):
                (tmp_path / name).write_bytes(content)
                fetched.append(name)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(ValueError, match=r"a/b has no model\*\.safetensors .* hub; .* model\.allow_pickle=true"):
        resolve("a/b", allow_pickle=False)
    with pytest.raises(ValueError, match=r"a/b has no model\*\.safetensors weights on the hub$"):
        resolve("a/b")
    assert set(fetched) == {"config.json"}
    assert resolve("a/b", allow_pickle=True) == str(tmp_path)
    assert (tmp_path / "pytorch_model.bin").is_file()
    header = b"{}"
    stored["consolidated.safetensors"] = b"the same again"
    stored["model.safetensors"] = len(header).to_bytes(8, "little") + header
    fetched.clear()
    resolve("a/b", allow_pickle=True)
    assert fetched == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        (
            GatedRepoError,
            403,
            r"licence .* accepted first: do so on https://huggingface\.co/a/b, and log in \(`hf",
        ),
        (RepositoryNotFoundError, 401, r"the hub shows no model of this name: .* private, log in"),
        (HfHubHTTPError, 500, r"could not be downloaded \(HfHubHTTPError: said\): check the network"),
    ],
)
def test_why_the_hub_refuses_is_told_with_what_to_do(monkeypatch, kind, status, words) -> None:
    def download(*_arguments, **_options):
        raise kind("said", response=SimpleNamespace(headers={}, status_code=status, request=None))

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(ValueError, match=r"'a/b' is not a local folder, and .*" + words):
        resolve("a/b")


def test_without_a_network_its_cause_is_told_and_not_three_lines_of_the_client(monkeypatch) -> None:
    def download(*_arguments, **_options):
        try:
            raise OSError(-2, "Name or service not known")
        except OSError as error:
            raise LocalEntryNotFoundError("An error happened, " + 30 * "and more happened, ") from error

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(
        ValueError, match=r"downloaded \(OSError: \[Errno -2\] Name or service not known\): check the net"
    ):
        resolve("a/b")


def test_a_model_that_is_not_in_the_cache_is_not_looked_for_offline(monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"not in the hub's cache, and HF_HUB_OFFLINE .*: unset it"):
        resolve("nobody/nothing")
    with pytest.raises(ValueError, match=r"not a valid model name on the hub"):
        resolve("no body/nothing")


def test_pickles_are_refused_by_an_option_where_there_is_one(model) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"convert it to safetensors, or set model\.allow_pickle=true"):
        resolve(str(model), allow_pickle=False)
    with pytest.raises(ValueError, match=r"convert it to safetensors$"):
        resolve(str(model))


def test_a_whole_folder_is_taken(model) -> None:
    assert chat_format(resolve(str(model))).stop_token_id > 0


def test_tokens_that_were_added_without_embeddings_are_named_with_what_to_do(model) -> None:
    tokenizer = load_tokenizer(str(model))
    rows = len(tokenizer)
    tokenizer.add_tokens(["TNF-α", "IL_2"])
    tokenizer.save_pretrained(model)
    notes = chat_format(str(model)).notes
    assert notes[0].startswith(
        f"model.path: the model has embeddings for {rows} tokens, but its tokenizer knows 2 more, never used: "
        "'TNF-α', 'IL_2'; to use them, call model.resize_token_embeddings(len(tokenizer))"
    )
    written = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(written | {"vocab_size": rows + 2}))
    assert chat_format(str(model)).notes == ("model.path: 2 added tokens are not used in sentences: 'TNF-α', 'IL_2'",)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", "{", "config.json, line 1: not valid JSON"),
        ("config.json", "[]", "config.json must hold one JSON object, not list"),
        ("config.json", "[" * 100_000, "config.json: not valid JSON"),
        ("config.json", "{}", "config.json: "),
        ("tokenizer.json", '{"a": 1', "tokenizer.json, line 1: not valid JSON"),
        ("tokenizer.json", "{}", "tokenizer.json: "),
        ("tokenizer_config.json", "nonsense", "tokenizer_config.json, line 1: not valid JSON"),
        ("model.safetensors", "", "model.safetensors is not a complete safetensors file"),
        ("model.safetensors", "x" * 100, "model.safetensors is not a complete safetensors file"),
        ("chat_template.jinja", "{% if %}", "chat_template.jinja: "),
        ("chat_template.jinja", "{{ 1 + 'a' }}", "chat_template.jinja: "),
        (
            "chat_template.jinja",
            "{{ raise_exception('no system role') }}",
            "chat_template.jinja: the chat template fails on a conversation of user: TemplateError: no system role",
        ),
        ("chat_template.jinja", "no slot", "chat_template.jinja: "),
    ],
)
def test_what_is_broken_is_named(model, name, content, words) -> None:
    (model / name).write_text(content)
    with pytest.raises(ValueError, match=r"model\.path") as said:
        chat_format(resolve(str(model)))
    assert words in str(said.value)


def test_weights_that_were_cut_or_grew_are_named_with_what_to_do(model) -> None:
    file = model / "model.safetensors"
    whole = file.read_bytes()
    for other in (whole[:-1], whole[:20], whole + b"1"):
        file.write_bytes(other)
        with pytest.raises(ValueError, match=rf"{file} is not a complete safetensors file \(.*\): copy it again"):
            resolve(str(model))


def _in_parts(folder, parts=("model-1.safetensors", "model-2.safetensors")) -> None:
    (folder / "model.safetensors").unlink()
    for number, name in enumerate(parts):
        _weights(folder, name, **{f"w{number}": ("BF16", 2, [number + 1])})
    index = {"metadata": {}, "weight_map": {f"w{number}": name for number, name in enumerate(parts)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_weights_that_this_user_may_not_read_are_not_said_to_be_missing(model, monkeypatch) -> None:
    opened = Path.open

    def denied(file: Path, *arguments, **options):
        if file.name == "model.safetensors":
            raise PermissionError(13, "Permission denied", str(file))
        return opened(file, *arguments, **options)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read \(Permission denied\): ask its owner"):
        resolve(str(model))


def test_a_part_of_the_weights_that_is_missing_is_named(model) -> None:
    _in_parts(model)
    assert resolve(str(model)) == str(model)
    assert count_weights(model) == 3
    (model / "model-2.safetensors").unlink()
    with pytest.raises(ValueError, match=r"index\.json lists model-2\.safetensors, which is missing: .* incomplete"):
        resolve(str(model))
    (model / "model-1.safetensors").unlink()
    (model / "consolidated.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"has no model\*\.safetensors weights"):
        resolve(str(model))


def test_two_models_in_a_folder_are_refused_with_what_to_delete(model) -> None:
    whole = (model / "model.safetensors").read_bytes()
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    assert resolve(str(model)) == str(model)
    _in_parts(model)
    assert resolve(str(model)) == str(model)
    _weights(model, "model_ema.safetensors", a=("F32", 4, [1]))  # an index names what is read
    assert resolve(str(model)) == str(model)
    (model / "model.safetensors").write_bytes(whole)
    parts = "model-1.safetensors, model-2.safetensors"
    delete = "Delete model.safetensors.index.json if model.safetensors is the full model, else model.safetensors"
    with pytest.raises(ValueError, match=rf"reads {parts}: two models, or an outdated index\. {delete}"):
        resolve(str(model))
    for part in ("model-1.safetensors", "model-2.safetensors"):
        (model / part).unlink()
    with pytest.raises(ValueError, match=rf"reads {parts}, all of them missing: two .* outdated index\. {delete}"):
        resolve(str(model))
    index.write_text(json.dumps({"weight_map": {"a": "../model/model.safetensors"}}))
    with pytest.raises(ValueError, match=r"lists '\.\./model/model\.safetensors', which is not a file in this folder"):
        resolve(str(model))


def test_an_adapter_beside_a_whole_model_is_refused_with_both_ways_out(model) -> None:
    (model / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"a full model and an adapter.*delete the adapter's files.* else save the"):
        resolve(str(model))
    (model / "config.json").unlink()
    with pytest.raises(
        ValueError, match=r"has no config\.json but an adapter_config\.json: merge it into its base model"
    ):
        resolve(str(model))


def test_a_folder_without_weights_is_refused_with_what_it_holds_in_their_place(model) -> None:
    (model / "model.safetensors").rename(model / "model-Q4_K_M.gguf")
    with pytest.raises(
        ValueError, match=r"no model\*\.safetensors weights, and GGUF is not read: get the model in safe"
    ):
        resolve(str(model))
    (model / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no model\*\.safetensors weights but an adapter_config\.json: merge it into"):
        resolve(str(model))


def test_weights_that_vllm_would_load_over_the_model_are_refused_by_name(model) -> None:
    _weights(model, "consolidated.safetensors", a=("F32", 4, [1]))
    assert resolve(str(model)) == str(model)
    _weights(model, "optimizer.safetensors", a=("F32", 4, [1]))
    with pytest.raises(ValueError, match=r"has optimizer\.safetensors beside .* vLLM would load it over these"):
        resolve(str(model))
    _weights(model, "model_ema.safetensors", a=("F32", 4, [1]))
    with pytest.raises(ValueError, match=r"has model_ema\.safetensors, optimizer\.safetensors .* load them over"):
        resolve(str(model))


def test_pickles_that_vllm_would_load_over_the_model_are_refused_by_name(model) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    for name in ("training_args.bin", "optimizer.bin", "scheduler.pt"):
        (model / name).write_bytes(b"1234")
    assert resolve(str(model), allow_pickle=True) == str(model)
    (model / "ema.bin").write_bytes(b"1234")
    with pytest.raises(ValueError, match=r"has ema\.bin beside the model's weights"):
        resolve(str(model), allow_pickle=True)
    _weights(model, "consolidated.safetensors", a=("F32", 4, [1]))
    with pytest.raises(ValueError, match=r"has consolidated\.safetensors beside the model's weights"):
        resolve(str(model), allow_pickle=True)


def test_weights_that_only_transformers_would_look_for_are_refused(model) -> None:
    config = json.loads((model / "config.json").read_text())
    for name, words in (
        ("model.safetensors", ""),
        ("other.safetensors", r"key transformers_weights points .* to 'other"),
    ):
        (model / "config.json").write_text(json.dumps(config | {"transformers_weights": name}))
        if not words:
            assert resolve(str(model)) == str(model)
            continue
        with pytest.raises(ValueError, match=words):
            resolve(str(model))


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": {"a": 1}}])
def test_an_index_that_names_no_files_is_refused(model, index) -> None:
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"index\.json: its weight_map lists no files"):
        resolve(str(model))


def test_parts_without_their_index_are_refused(model) -> None:
    _in_parts(model)
    (model / "model.safetensors.index.json").unlink()
    with pytest.raises(ValueError, match=r"has neither model\.safetensors nor model\.safetensors\.index\.json"):
        resolve(str(model))


def test_pickled_parts_are_looked_for_too(model) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model-1.bin").write_bytes(b"1234")
    with pytest.raises(ValueError, match=r"pytorch_model-1\.bin is a pickle"):
        resolve(str(model))
    with pytest.raises(ValueError, match=r"has neither pytorch_model\.bin nor pytorch_model\.bin\.index\.json"):
        resolve(str(model), allow_pickle=True)
    parts = {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}
    (model / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": parts}))
    with pytest.raises(ValueError, match=r"lists pytorch_model-2\.bin, which is missing"):
        resolve(str(model), allow_pickle=True)
    (model / "pytorch_model-2.bin").write_bytes(b"1234")
    assert resolve(str(model), allow_pickle=True) == str(model)
    for part in parts.values():
        (model / part).unlink()
    (model / "training_args.bin").write_bytes(b"1234")
    with pytest.raises(ValueError, match=r"has no model\*\.safetensors weights"):
        resolve(str(model), allow_pickle=True)


def test_weights_that_stand_there_twice_are_counted_once(model) -> None:
    _weights(model, "consolidated.safetensors", a=("F32", 4, [5]))
    assert count_weights(resolve(str(model))) == 1
    _in_parts(model)
    assert count_weights(resolve(str(model))) == 3
    assert stored_shapes(model) == {"w0": (1,), "w1": (2,)}


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_model_that_needs_code_of_its_own_is_refused_without_a_question(model, file, monkeypatch) -> None:
    def ask(*_arguments):
        raise AssertionError("the terminal was asked")

    monkeypatch.setattr("builtins.input", ask)
    written = json.loads((model / file).read_text())
    names = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tokenizer", None]}
    unknown = {"config.json": {"model_type": "own"}, "tokenizer_config.json": {"tokenizer_class": "OwnTokenizer"}}
    (model / file).write_text(json.dumps(written | unknown[file] | {"auto_map": names}))
    (model / "own.py").write_text(f"open({str(model / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match=rf"{file} names custom Python code \(auto_map\), which is never run"):
        chat_format(resolve(str(model)))
    assert not (model / "ran").exists()


def _tokenizer(folder, kind: str, tokenizer_class: str, *, model_type: str = "llama"):
    """A folder of files that say how to encode, the last by this class."""
    made = tokenizer("metaspace" if kind == "gemma" else "byte-level" if kind == "qwen" else kind)
    if kind == "gemma":
        made.backend_tokenizer.normalizer = normalizers.Replace(" ", "▁")
        made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    if kind == "qwen":
        words = pre_tokenizers.Split(Regex(QWEN), "isolated")
        made.backend_tokenizer.normalizer = normalizers.NFC()
        made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    made.chat_template = TEMPLATES["chatml"]
    made.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    _name(folder, tokenizer_class)
    return made


def _name(folder, tokenizer_class: str) -> None:
    written = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(written | {"tokenizer_class": tokenizer_class}))


@pytest.mark.parametrize("kind", ["byte-level", "metaspace", "legacy", "unigram", "word-piece"])
def test_a_tokenizer_that_is_loaded_as_its_file_tells_is_taken(tmp_path, kind) -> None:
    made = _tokenizer(tmp_path, kind, "PreTrainedTokenizerFast")
    assert load_tokenizer(str(tmp_path)).encode("Ada<s>Ada") == made.encode("Ada<s>Ada")


@pytest.mark.parametrize(
    ("kind", "tokenizer_class", "model_type"),
    [
        ("metaspace", "LlamaTokenizer", "llama"),
        ("metaspace", "LlamaTokenizerFast", "llama"),
        ("legacy", "LlamaTokenizer", "mistral"),
        ("gemma", "GemmaTokenizer", "gemma3_text"),
        ("qwen", "Qwen2Tokenizer", "qwen2"),
        ("qwen", "Qwen2Tokenizer", "qwen3"),
        ("qwen", "LlamaTokenizerFast", "qwen2"),
        ("byte-level", "GPT2Tokenizer", "gpt2"),
        ("byte-level", "GPTNeoXTokenizerFast", "gpt_neox"),
    ],
)
def test_a_tokenizer_that_is_rebuilt_as_it_was_is_taken(tmp_path, kind, tokenizer_class, model_type) -> None:
    made = _tokenizer(tmp_path, kind, tokenizer_class, model_type=model_type)
    told = made.encode("Ada Lovelace<s>Ada")
    made.backend_tokenizer.enable_truncation(4)  # as some files tell; it is not applied where nobody asks
    made.backend_tokenizer.enable_padding(length=99)
    made.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(str(tmp_path)).encode("Ada Lovelace<s>Ada") == told


@pytest.mark.parametrize(
    ("kind", "tokenizer_class"),
    [
        ("unigram", "LlamaTokenizer"),  # letter by letter
        ("unigram", "GemmaTokenizer"),
        ("byte-level", "LlamaTokenizerFast"),  # spaces are lost
    ],
)
def test_a_tokenizer_that_is_rebuilt_otherwise_is_refused_with_what_mends_it(tmp_path, kind, tokenizer_class) -> None:
    made = _tokenizer(tmp_path, kind, tokenizer_class)
    told = made.encode("Ada Lovelace<s>Ada", add_special_tokens=False)
    assert AutoTokenizer.from_pretrained(tmp_path).encode("Ada Lovelace<s>Ada", add_special_tokens=False) != told
    with pytest.raises(ValueError, match=r"model\.path: .*tokenizer\.json .* set that to 'PreTrainedTokenizerFast'"):
        load_tokenizer(str(tmp_path))
    _name(tmp_path, "PreTrainedTokenizerFast")
    assert load_tokenizer(str(tmp_path)).encode("Ada Lovelace<s>Ada", add_special_tokens=False) == told


@pytest.mark.parametrize(
    ("kind", "tokenizer_class", "model_type"),
    [
        ("legacy", "LlamaTokenizer", "llama"),  # other tokens behind a control token
        ("byte-level", "PreTrainedTokenizerFast", "qwen2"),  # numbers and blanks are cut otherwise
    ],
)
def test_a_tokenizer_that_cuts_some_texts_otherwise_is_taken_and_this_is_said(
    tmp_path, kind, tokenizer_class, model_type
) -> None:
    _tokenizer(tmp_path, kind, tokenizer_class, model_type=model_type)
    assert "splits some texts differently from the file" in read_tokenizer(str(tmp_path))[1]
    if model_type != "qwen2":  # for which transformers asks no file
        _name(tmp_path, "PreTrainedTokenizerFast")
        assert read_tokenizer(str(tmp_path))[1] == ""


def test_a_tokenizer_that_is_rebuilt_whatever_its_config_says_is_refused(tmp_path) -> None:
    _tokenizer(tmp_path, "metaspace", "PreTrainedTokenizerFast", model_type="qwen2")
    with pytest.raises(ValueError, match=r"makes a Qwen2Tokenizer .* for models of this type whatever"):
        load_tokenizer(str(tmp_path))


def _pieces(folder, tokenizer_class: str, **settings) -> None:
    """A folder with sentencepiece's file alone."""
    words = permutations(("Ada", "Lovelace", "Byron", "born", "1815", "person", "don't"), 4)
    (folder / "text").write_text("\n".join(map(" ".join, words)))
    files = {"input": str(folder / "text"), "model_prefix": str(folder / "tokenizer"), "vocab_size": 340}
    spm.SentencePieceTrainer.train(**files, byte_fallback=True, hard_vocab_limit=False, minloglevel=3, **settings)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    told = {"tokenizer_class": tokenizer_class, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


AS_LLAMAS = {"model_type": "bpe", "normalization_rule_name": "identity", "remove_extra_whitespaces": False}


def test_a_tokenizer_made_of_sentencepieces_file_is_compared_with_it(tmp_path) -> None:
    _pieces(tmp_path, "LlamaTokenizer", **AS_LLAMAS)
    assert read_tokenizer(str(tmp_path))[1] == ""
    _name(tmp_path, "GemmaTokenizer")  # no space before the first word
    note = "transformers makes a GemmaTokenizer of tokenizer.model, which splits some texts differently from the file"
    assert read_tokenizer(str(tmp_path))[1] == note


def test_a_tokenizer_that_makes_other_words_than_sentencepieces_file_is_refused(tmp_path) -> None:
    _pieces(tmp_path, "LlamaTokenizer", model_type="unigram")  # a Llama's is joined pair by pair
    with pytest.raises(
        ValueError, match=r"tokenizer\.model is not what transformers encodes with: it makes a LlamaTok"
    ):
        load_tokenizer(str(tmp_path))


def test_a_tokenizer_without_a_file_of_its_own_is_not_compared(tmp_path) -> None:
    made = _tokenizer(tmp_path, "byte-level", "GPT2Tokenizer")
    (tmp_path / "tokenizer.json").unlink()
    model = json.loads(made.backend_tokenizer.to_str())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    (tmp_path / "merges.txt").write_text("\n".join(" ".join(pair) for pair in model["merges"]))
    assert load_tokenizer(str(tmp_path)).encode("Ada Lovelace") == made.encode("Ada Lovelace")


def test_mistrals_own_tokenizer_beside_the_other_is_not_taken(tmp_path) -> None:
    made = _tokenizer(tmp_path, "byte-level", "LlamaTokenizerFast", model_type="mistral")
    (tmp_path / "tekken.json").write_text("{}")
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.chat_template == TEMPLATES["chatml"]
    assert loaded.encode("Ada Lovelace") == made.encode("Ada Lovelace")


def _weights(folder, name, **tensors) -> None:
    """A file of tensors ``name=(type, bytes of a number, shape)``, whose numbers are not there but for their room."""
    header, end = {}, 0
    for tensor, (kind, width, shape) in tensors.items():
        begin, end = end, end + width * math.prod(shape)
        header[tensor] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with (folder / name).open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def test_weights_are_counted_whatever_their_type_on_disk(tmp_path) -> None:
    # 6 numbers of float32, 4 of bf16, 1 that has no shape; the indices of a buffer are no weights.
    _weights(tmp_path, "model-00001-of-00002.safetensors", a=("F32", 4, [2, 3]), n=("I64", 8, [5]))
    _weights(tmp_path, "model-00002-of-00002.safetensors", b=("BF16", 2, [4]), c=("F32", 4, []))
    assert count_weights(tmp_path) == 11
    assert stored_shapes(tmp_path) == {"a": (2, 3), "n": (5,), "b": (4,), "c": ()}
    # In a run they are bf16.
    assert Prepared.weights_gib.fget(SimpleNamespace(weights=11)) == 22 / 2**30


@pytest.mark.parametrize(("config", "count"), [({}, 25), ({"torch_dtype": "float32"}, 25), ({"dtype": "bfloat16"}, 50)])
def test_pickled_weights_are_counted_by_their_size_and_not_opened(tmp_path, config, count) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 100)
    (tmp_path / "optimizer.pt").write_bytes(b"x" * 999)
    assert count_weights(tmp_path) == count
