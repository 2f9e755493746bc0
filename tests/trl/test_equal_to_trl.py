"""Our loss and gradient against TRL 1.16's on the same batch: ``make peer``, then ``pytest tests/trl``."""

import json
import subprocess
from pathlib import Path

import numpy
import pytest
import torch
from transformers import AutoModelForCausalLM

from learner.batch import collate, weigh
from learner.logits import PLAIN
from learner.logprobs import PolicyModel
from learner.loss import grpo_loss
from rnr.config import GrpoConfig
from rnr.types import Sample

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-trl" / "bin" / "python"
TEMPERATURE = 0.9
MOST_TOKENS = 40

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="TRL's environment is not there: `make peer` makes it"),
]


def _samples() -> list[Sample]:
    generator = torch.Generator().manual_seed(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(100, 40_000, (count,), generator=generator).tolist())

    shared, other = tokens(17), tokens(9)
    shapes = [(shared, 12, 0.7), (shared, 25, -0.4), (shared, 3, -0.3), (other, 31, 1.1), (other, 8, -1.1)]
    return [
        Sample(uid="", prompt_ids=prompt, completion_ids=tokens(count), advantages=(advantage,) * count)
        for prompt, count, advantage in shapes
    ]


SETTINGS = GrpoConfig(rollout_correction="none")


@pytest.mark.parametrize(
    ("aggregation", "settings", "options"),
    [
        ("sequence_mean", SETTINGS, {"loss_type": "grpo"}),
        ("token_mean", SETTINGS, {"loss_type": "bnpo"}),
        ("constant", SETTINGS, {"loss_type": "dr_grpo"}),
        (
            "sequence_mean",
            SETTINGS.model_copy(update={"policy_loss": "gspo"}),
            {"loss_type": "grpo", "importance_sampling_level": "sequence"},
        ),
        (
            "constant",
            SETTINGS.model_copy(update={"kl_coefficient": 0.04, "kl_estimator": "k3"}),
            {"loss_type": "dr_grpo", "beta": 0.04, "use_bias_correction_kl": False},
        ),
    ],
    ids=["grpo", "bnpo", "dr_grpo", "gspo", "kl"],
)
def test_loss_and_gradient_are_those_of_trl(tmp_path, tiny_model, aggregation, settings, options) -> None:
    samples = _samples()
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    weighted = weigh(samples, aggregation, max_new_tokens=MOST_TOKENS, sampled=len(samples))
    batch = collate(
        tuple(
            tuple(item for item in weighted if item.sample.prompt_ids == prompt)
            for prompt in dict.fromkeys(sample.prompt_ids for sample in samples)
        )
    )
    policy = PolicyModel(model, PLAIN)
    arguments = (batch.input_ids_1T, batch.position_ids_1T, batch.layout, batch.columns_N, batch.targets_N)
    logprobs, entropies = policy(*arguments, TEMPERATURE)
    generator = torch.Generator().manual_seed(1)
    # Old and reference policies near enough that some tokens are clipped and some are not.
    old, reference = (logprobs.detach() + 0.3 * torch.randn(len(logprobs), generator=generator) for _ in range(2))
    loss, _ = grpo_loss(
        logprobs,
        entropy_N=entropies,
        old_logprobs_N=old,
        sampler_logprobs_N=old,
        reference_logprobs_N=reference if settings.kl_coefficient else None,
        advantages_N=batch.advantages_N,
        weights_N=batch.weights_N,
        sequences_N=batch.sequences_N,
        config=settings,
    )
    loss.backward()
    theirs = _trl(tmp_path, str(tiny_model), samples, batch.sequences_N, old, reference, options)
    assert loss.item() == pytest.approx(float(theirs["loss"]), rel=1e-4, abs=1e-6)
    ours = torch.cat([parameter.grad.flatten() for _, parameter in model.named_parameters()])
    their = torch.cat([torch.from_numpy(theirs[name]).flatten() for name, _ in model.named_parameters()])
    assert (ours - their).norm() < 1e-4 * their.norm()


def _trl(folder: Path, model: str, samples, sequences_N, old_N, reference_N, options) -> dict[str, numpy.ndarray]:
    rows = [
        {
            "prompt": list(sample.prompt_ids),
            "completion": list(sample.completion_ids),
            "advantage": sample.advantages[0],
            "old": old_N[sequences_N == number].tolist(),
            "reference": reference_N[sequences_N == number].tolist(),
        }
        for number, sample in enumerate(samples)
    ]
    options = {
        "beta": 0.0,
        "epsilon": SETTINGS.clip_low,
        "epsilon_high": SETTINGS.clip_high,
        "temperature": TEMPERATURE,
        "max_completion_length": MOST_TOKENS,
        **options,
    }
    (folder / "batch.json").write_text(json.dumps({"samples": rows, "options": options}))
    side = ROOT / "tests" / "trl" / "trl_side.py"
    command = [str(PYTHON), str(side), model, str(folder / "batch.json"), str(folder / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with numpy.load(folder / "out.npz") as arrays:
        return dict(arrays)
