"""What only a GPU can show: `python -m pytest -m gpu`."""

import json

import pytest
import torch

from learner.attention import attend
from learner.batch import Weighted, collate
from rnr.types import Sample
from tests.end_to_end.launcher import Training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def test_attention_by_fused_kernels_gives_what_float64_gives_on_the_cpu() -> None:
    pack = tuple(
        Weighted(sample=Sample(uid="", prompt_ids=(1,) * 37, completion_ids=(1,) * length), weight=1.0)
        for length in (5, 61, 130)
    )
    generator = torch.Generator().manual_seed(0)
    tokens = 37 + 5 + 61 + 130
    exact = [torch.randn(1, heads, tokens, 64, generator=generator, dtype=torch.float64) for heads in (6, 2, 2)]
    expected, _ = attend(torch.nn.Identity(), *exact, None, layout=collate((pack,)).layout, scaling=0.125)
    rounded = [part.to("cuda", torch.bfloat16).requires_grad_() for part in exact]
    on_gpu, _ = attend(torch.nn.Identity(), *rounded, None, layout=collate((pack,), "cuda").layout, scaling=0.125)
    torch.testing.assert_close(on_gpu.cpu().double(), expected, rtol=0.02, atol=0.02)
    on_gpu.float().square().sum().backward()
    assert all(part.grad.isfinite().all() for part in rounded)


@pytest.mark.slow
def test_one_step_of_everything_shares_the_gpu(tmp_path) -> None:
    training = Training(tmp_path, ["--config", "scripts/configs/debug.toml", "--tracking.wandb_project="])
    assert training.wait() == 0, training.output
    summary = json.loads((training.run_folder / "summary.json").read_text())
    assert 0 <= summary["probe_max_difference"] < 0.15
