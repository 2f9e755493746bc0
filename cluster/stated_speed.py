"""Assumed speed of the parts of a run on a GPU, until a benchmark measures it.

The reached shares of a datasheet's figures were measured on one H200 (docs/BENCHMARKS.md). Output that prints a number
from here calls it stated.
"""

from cluster.datasheets import Machine
from cluster.memory_plan import GIB, Shape
from cluster.simulation import Speed

TRAINING = 0.2
"""Share of the operations that the learner reaches: 0.6B parameters, micro-batches of 16k tokens."""
STREAMING = 0.6
"""Share of the memory's bandwidth that decoding reaches."""
DECODING = 0.3
"""Share of the operations that decoding and prefill reach."""
LEAST_STEP = 0.004
"""Minimum seconds of a decoding step: the host's part."""
LEAST_BATCH = 0.1
"""Minimum seconds of an optimizer step: kernels are launched one by one."""
SENT = 0.55 * GIB
"""Bytes a second of a verified weight sync through the object store."""
SENT_AT_LEAST = 0.2


def stated(shape: Shape, machine: Machine, *, context: float, max_num_seqs: int, gpus_per_engine: float = 1.0) -> Speed:
    """The speed of a model on one GPU a learner rank and so many an engine, with ``context`` tokens in the cache of a
    sequence on average."""
    weights = 2 * shape.weights
    bandwidth, flops = machine.bandwidth * STREAMING * gpus_per_engine, machine.flops * gpus_per_engine
    return Speed(
        step=max(LEAST_STEP, weights / bandwidth),
        step_each=context * shape.cache_bytes / bandwidth + weights / (flops * DECODING),
        prompt_token=weights / (flops * DECODING),
        # Forward and backward pass: 6 operations a parameter and position.
        position=3 * weights / (machine.flops * TRAINING),
        update=LEAST_BATCH,
        load=SENT_AT_LEAST + weights / SENT,
        max_num_seqs=max_num_seqs,
    )
