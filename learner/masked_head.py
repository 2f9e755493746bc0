"""Log-probabilities among the token ids that were allowed: the policy under a grammar.

Where a grammar restricts what may be sampled, the policy is the softmax over the allowed ids alone. The other rows of
the head take no part, neither forward nor backward, so it is computed with the few rows that a micro-batch allows
anywhere: hundreds in place of a whole vocabulary.

Shape letters: N completion tokens, R of them restricted, U ids allowed anywhere, A pairs of a token and an id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from learner.logits import PLAIN, Logits

ROWS = 512
"""Restricted tokens whose logits exist at the same time."""

_NEVER = -1e30
"""The logit of an id that is not allowed. Its probability is exactly 0, and unlike infinity it gives 0 when it is
multiplied by that."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allowed:
    """Which ids each restricted completion token of a micro-batch was chosen from."""

    rows_R: torch.Tensor
    """The restricted tokens, by their place among the N."""
    free_F: torch.Tensor
    """All other tokens: theirs was the whole vocabulary."""
    ids_U: torch.Tensor
    """Every id that is allowed anywhere, once."""
    targets_R: torch.Tensor
    """The chosen ids, by their place among the U."""
    columns_A: torch.Tensor
    """The ids allowed for each restricted token, one token after the other, by their place among the U."""
    numbers_A: torch.Tensor
    """The restricted token of each pair, by its place among the R."""
    counts: tuple[int, ...]
    """How many ids are allowed for each of the R."""


def allowed_tensors(
    allowed: Sequence[tuple[int, ...]], targets: Sequence[int], device: torch.device | str = "cpu"
) -> Allowed | None:
    """The tensors for N completion tokens with these allowed ids (empty: all) and chosen ids; None where nothing is
    restricted. Raises ValueError for a chosen id that was not allowed."""
    rows = [row for row, ids in enumerate(allowed) if ids]
    if not rows:
        return None
    for row in rows:
        if targets[row] not in allowed[row]:
            raise ValueError(f"completion token {row} is {targets[row]}, not one of its allowed {allowed[row]}")
    counts = tuple(len(allowed[row]) for row in rows)
    flat = torch.tensor([identity for row in rows for identity in allowed[row]])
    ids_U, columns_A = flat.unique(return_inverse=True)
    return Allowed(
        rows_R=torch.tensor(rows, device=device),
        free_F=torch.tensor([row for row, ids in enumerate(allowed) if not ids], dtype=torch.long, device=device),
        ids_U=ids_U.to(device),
        targets_R=torch.searchsorted(ids_U, torch.tensor([targets[row] for row in rows])).to(device),
        columns_A=columns_A.to(device),
        numbers_A=torch.arange(len(rows)).repeat_interleave(torch.tensor(counts)).to(device),
        counts=counts,
    )


def masked_logprobs(
    head: Any, hidden_RD: torch.Tensor, allowed: Allowed, temperature: float, logits: Logits = PLAIN
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probabilities of the chosen ids, entropies in nats), float32 of shape R, of the softmax over the allowed ids
    of the ``logits`` that a model makes of what its linear layer ``head`` makes of the hidden states.

    The head's output is rounded to the type of the hidden states, as that of the whole head is, so that the two differ
    in nothing but what is left out. It is made again in the backward pass, ``ROWS`` tokens at a time.
    """
    weight_UD = head.weight.index_select(0, allowed.ids_U)
    bias_U = None if head.bias is None else head.bias.index_select(0, allowed.ids_U)
    ends = list(accumulate(allowed.counts))
    logprobs, entropies = [], []
    for start in range(0, len(allowed.counts), ROWS):
        rows = slice(start, min(start + ROWS, len(allowed.counts)))
        pairs = slice(ends[start] - allowed.counts[start], ends[rows.stop - 1])
        columns, numbers = allowed.columns_A[pairs], allowed.numbers_A[pairs] - start
        forbidden_MU = torch.ones(rows.stop - start, len(weight_UD), dtype=torch.bool, device=columns.device)
        forbidden_MU[numbers, columns] = False
        found = checkpoint(
            _of_rows,
            hidden_RD[rows],
            weight_UD,
            bias_U,
            allowed.targets_R[rows],
            forbidden_MU,
            temperature,
            logits,
            use_reentrant=False,
        )
        logprobs.append(found[0])
        entropies.append(found[1])
    return torch.cat(logprobs), torch.cat(entropies)


def _of_rows(
    hidden_MD: torch.Tensor,
    weight_UD: torch.Tensor,
    bias_U: torch.Tensor | None,
    targets_M: torch.Tensor,
    forbidden_MU: torch.Tensor,
    temperature: float,
    logits: Logits,
) -> tuple[torch.Tensor, torch.Tensor]:
    output_MU = functional.linear(hidden_MD, weight_UD, bias_U)
    wide_MU = logits(output_MU.to(torch.promote_types(output_MU.dtype, torch.float32))) / temperature
    logs_MU = wide_MU.masked_fill(forbidden_MU, _NEVER).log_softmax(-1)
    entropy_M = -torch.linalg.vecdot(logs_MU.exp(), logs_MU)
    return logs_MU.gather(1, targets_M[:, None])[:, 0], entropy_M
