"""torch's variable-length flash attention on a CPU, by plain products in float64: the two operations that the public
function calls get a kernel there, so that everything around them is torch's own, compilation too."""

import torch
from torch.nn.attention import varlen


def _checked(query, key, value, starts, key_starts, longest, reach, causal):
    """Queries, keys and values of each segment in float64; it refuses what the CUDA kernel refuses."""
    assert causal
    assert starts.dtype == key_starts.dtype == torch.int32
    assert len(query) == starts[-1]
    assert len(key) == len(value) == key_starts[-1]
    assert query.shape[-1] == key.shape[-1] == value.shape[-1]
    assert query.shape[-1] % 8 == 0
    queries, keys = starts.diff().tolist(), key_starts.diff().tolist()
    assert min(queries) > 0
    assert (max(queries), max(keys)) == (longest, reach)
    parts = (query.split(queries), key.split(keys), value.split(keys))
    return zip(*([part.double() for part in each] for each in parts), strict=True)


def _weights(query, key, scale):
    """(weights (H, q, k), log-sum-exp (H, q)), causal to the lower right."""
    scores = torch.einsum("qhd,khd->hqk", query, key) * scale
    later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(scores.shape[2] - scores.shape[1] + 1)
    scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(-1), scores.logsumexp(-1)


def _attend(query, key, value, scale):
    group = query.shape[1] // key.shape[1]
    seen, values = (rows.repeat_interleave(group, 1) for rows in (key, value))
    weights, sums = _weights(query, seen, scale)
    return torch.einsum("hqk,khd->qhd", weights, values), sums


def _gradients(query, key, value, grad, scale):
    group = query.shape[1] // key.shape[1]
    seen, values = (rows.repeat_interleave(group, 1) for rows in (key, value))
    weights, _ = _weights(query, seen, scale)
    along = torch.einsum("qhd,khd->hqk", grad, values)
    along = weights * (along - (along * weights).sum(-1, keepdim=True)) * scale
    of_keys, of_values = torch.einsum("hqk,qhd->khd", along, query), torch.einsum("hqk,qhd->khd", weights, grad)
    joined = (each.unflatten(1, (-1, group)).sum(2) for each in (of_keys, of_values))
    return torch.einsum("hqk,khd->qhd", along, seen), *joined


def _forward(
    query, key, value, starts, key_starts, longest, reach, is_causal=False, scale=None, *_ignored, **__ignored
):
    parts = _checked(query, key, value, starts, key_starts, longest, reach, is_causal)
    outputs, sums = zip(*(_attend(*part, scale) for part in parts), strict=True)
    rng = torch.zeros((2,), dtype=torch.uint64)
    return torch.cat(outputs).to(query.dtype), torch.cat(sums, 1).float(), rng


def _backward(
    grad, query, key, value, _out, _lse, starts, key_starts, longest, reach, is_causal, _rng, scale=None, *_, **__
):
    parts = _checked(query, key, value, starts, key_starts, longest, reach, is_causal)
    grads = grad.double().split(starts.diff().tolist())
    found = [_gradients(*part, each, scale) for part, each in zip(parts, grads, strict=True)]
    return tuple(torch.cat(each).to(query.dtype) for each in zip(*found, strict=True))


varlen._varlen_attn.register_kernel("cpu")(_forward)
varlen._varlen_attn_backward.register_kernel("cpu")(_backward)
