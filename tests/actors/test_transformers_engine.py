"""A random model on the transformers engine: what it may say is the question's, and its numbers are the model's."""

import asyncio
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from actors.engine import Sampling
from actors.loading import load
from actors.options import Options

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["Ada met Bob.", '東京 [x] café: 3 "y" 👩‍🚀!', "a", "One. Two three (four), five-six; seven's eight?"]


@pytest.fixture(scope="module")
def ner(tiny_model):
    with pytest.MonkeyPatch.context() as patch:
        # Sums in bf16 depend on the batch.
        patch.setattr("actors.transformers_engine.best_dtype", lambda device: torch.float32)
        with load(str(tiny_model), engine="transformers", decoding="marks", device="cpu") as extractor:
            yield extractor


def test_a_random_model_says_nothing_that_was_not_asked_for_and_nothing_that_is_not_there(ner) -> None:
    labels = {"Person": "a human", "art_work": ""}
    found = ner.batch(TEXTS, labels) + ner.batch(TEXTS, labels, samples=3, threshold=0.0)
    assert [each.sentence for each in found] == TEXTS * 2
    entities = [(each, entity) for each in found for entity in each]
    assert entities
    assert {entity.label for _, entity in entities} <= set(labels)
    assert all(each.sentence[entity.start : entity.end] == entity.text for each, entity in entities)
    assert all(entity.alignment == "marked" and 0 <= entity.confidence <= 1 for _, entity in entities)
    assert not any(each.left_out or each.error for each in found)
    assert all(entity.confidence in (1 / 3, 2 / 3, 1.0) for each in found[4:] for entity in each)


def test_a_long_text_is_read_in_windows_with_its_own_offsets(ner) -> None:
    words = random.Random(0).choices(["Ada", "met", "Bob", "in", "Rome."], k=200)
    text = " ".join(words)
    found = ner(text, ["x"], window=32, overlap=8)
    assert found.windows > 5
    assert found.finished
    assert all(text[entity.start : entity.end] == entity.text for entity in found)
    assert max(entity.end for entity in found) > len(text) - 200


def test_completions_of_one_batch_are_those_of_each_prompt_alone_with_the_models_log_probabilities(ner) -> None:
    worker = ner.worker
    prompts = [(1, 500, 600, 700), (1, 800), tuple(range(1000, 1040))]
    greedy = Sampling(count=1, temperature=0.0, max_new_tokens=6)

    async def together():
        return await asyncio.gather(*(worker.engine.generate(prompt, greedy) for prompt in prompts))

    async def alone(prompt):
        return await worker.engine.generate(prompt, greedy)

    batch = ner.loop.submit(together()).result()
    for prompt, (made,) in zip(prompts, batch, strict=True):
        (other,) = ner.loop.submit(alone(prompt)).result()
        (segment,) = made.segments
        assert segment.token_ids == other.segments[0].token_ids
        assert segment.logprobs == pytest.approx(other.segments[0].logprobs, abs=1e-4)
        scores = ner.loop.submit(worker.score((*prompt, *segment.token_ids))).result()
        assert segment.logprobs == pytest.approx(scores[len(prompt) - 1 :], abs=1e-3)
        assert made.finished == (segment.token_ids[-1] in (2,))


def test_a_completion_ends_with_its_stop_text_and_keeps_it(ner) -> None:
    prompt = (1, 500, 600, 700)

    async def made(**options):
        sampling = Sampling(count=1, temperature=0.0, max_new_tokens=8, **options)
        return (await ner.worker.engine.generate(prompt, sampling))[0]

    whole = ner.loop.submit(made()).result()
    stop = whole.text[3:6]
    cut = ner.loop.submit(made(stop=stop)).result()
    assert cut.text == whole.text[: whole.text.index(stop) + 3]
    assert cut.finished
    assert cut.ends[-1] == len(cut.text)
    assert len(cut.segments[0].token_ids) <= len(whole.segments[0].token_ids)


def test_it_answers_where_an_event_loop_is_running_and_to_blank_texts(ner) -> None:
    async def notebook():
        return ner(TEXTS[0], ["x"]), ner("  ", ["x"])

    found, blank = asyncio.run(notebook())
    assert found.windows == 1
    assert (len(blank), blank.windows, blank.error) == (0, 0, None)


def test_questions_that_cannot_be_asked_are_refused(ner) -> None:
    for labels, options, why in (
        ([], {}, "at least one label"),
        ("person", {}, "not one string"),
        (["a_b", "A b"], {}, "are the same to the model"),
        (["a: b"], {}, "that a mark .* cannot hold"),
        (["x"], {"samples": 0}, "at least 1"),
        (["x"], {"select": "vote"}, "needs several samples"),
        (["x"], {"decoding": "schema", "threshold": 0.5}, "has none"),
        (["x"], {"threshold": 1.5}, "from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=why):
            ner(TEXTS[0], labels, **options)


def test_a_closed_model_says_so(tiny_model) -> None:
    extractor = load(str(tiny_model), engine="transformers", decoding="marks", device="cpu")
    extractor.close()
    with pytest.raises(RuntimeError, match="is closed"):
        extractor("Ada", ["x"])
    extractor.close()


@pytest.mark.parametrize("config", [{"model_type": "gpt2", "n_positions": 256}, {"max_position_embeddings": 256}])
@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_context_that_the_model_was_not_made_for_is_refused(tiny_model, tmp_path, config, engine) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    written = json.loads((model / "config.json").read_text()) if "model_type" not in config else {}
    (model / "config.json").write_text(json.dumps(written | config))
    with pytest.raises(ValueError, match=r"context_tokens is 1024, but the model in .* supports 256"):
        load(str(model), engine=engine)


def test_an_engine_that_is_not_installed_is_named_with_what_to_do(tiny_model, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "vllm" else True)
    with pytest.raises(ValueError, match=r'needs vllm.*pip install "\.\[vllm\]" or use engine="transformers"'):
        load(str(tiny_model))
    assert Options(decoding="marks", samples=4).least == 0.3


def test_neither_vllm_nor_ray_is_needed_and_nothing_is_printed(tiny_model) -> None:
    program = (
        "import sys\n"
        "for name in ('vllm', 'ray', 'deepspeed'): sys.modules[name] = None\n"
        "from rnr import load\n"
        f"ner = load({str(tiny_model)!r}, engine='transformers', decoding='marks')\n"
        "found = ner('Ada met Bob.', ['person'])\n"
        "print(found.sentence)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "Ada met Bob.\n"), done.stderr


def test_a_model_answers_whatever_attention_and_form_of_output_its_config_asks_for(tiny_model, tmp_path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    written = json.loads((folder / "config.json").read_text())
    asked = {"_attn_implementation": "flash_attention_2", "return_dict": False}
    (folder / "config.json").write_text(json.dumps(written | asked))
    with load(str(folder), engine="transformers", decoding="marks", device="cpu") as extractor:
        assert not extractor("Ada ran.", ["person"]).error
