"""What only a GPU can show: `python -m pytest -m gpu`."""

import json
from dataclasses import replace

import pytest
import torch

from learner.attention import attend
from learner.batch import Weighted, collate
from learner.bucketed_layout import bucketed_layout
from learner.varlen_layout import varlen_layout
from rnr.types import Sample
from tests.end_to_end.launcher import Training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize("arrange", [varlen_layout, bucketed_layout])
@pytest.mark.parametrize("widths", [(64, 64), (128, 128), (80, 48), (256, 256)])
def test_attention_on_a_gpu_gives_what_float64_gives_on_the_cpu(arrange, widths) -> None:
    pack = tuple(
        Weighted(sample=Sample(uid="", prompt_ids=(1,) * 37, completion_ids=(1,) * length), weight=1.0)
        for length in (5, 61, 130)
    )
    alone = (replace(pack[0], sample=replace(pack[0].sample, completion_ids=(1,) * 9)),)
    generator = torch.Generator().manual_seed(0)
    tokens = 37 + 5 + 61 + 130 + 37 + 9
    exact = [
        torch.randn(1, heads, tokens, width, generator=generator, dtype=torch.float64, requires_grad=True)
        for heads, width in ((6, widths[0]), (2, widths[0]), (2, widths[1]))
    ]
    grads = torch.randn(1, tokens, 6, widths[1], generator=generator, dtype=torch.float64)
    expected, _ = attend(torch.nn.Identity(), *exact, None, layout=collate((pack, alone)).layout, scaling=0.125)
    rounded = [part.detach().to("cuda", torch.bfloat16).requires_grad_() for part in exact]
    layout = collate((pack, alone), "cuda", arrange).layout
    on_gpu, _ = attend(torch.nn.Identity(), *rounded, None, layout=layout, scaling=0.125)
    torch.testing.assert_close(on_gpu.cpu().double(), expected, rtol=0.02, atol=0.02)
    theirs = torch.autograd.grad(expected, exact, grads)
    for our, their in zip(torch.autograd.grad(on_gpu, rounded, grads.to("cuda", torch.bfloat16)), theirs, strict=True):
        assert (our.cpu().double() - their).norm() < 0.02 * their.norm()


@pytest.mark.slow
def test_one_step_of_everything_shares_the_gpu(tmp_path) -> None:
    training = Training(tmp_path, ["--config", "scripts/configs/debug.toml", "--tracking.wandb_project="])
    assert training.wait() == 0, training.output
    summary = json.loads((training.run_folder / "summary.json").read_text())
    assert 0 <= summary["probe_max_difference"] < 0.15
