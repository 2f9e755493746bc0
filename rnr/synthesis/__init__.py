"""Generates, checks and writes reasoning chains from a teacher. This package imports no inference engine.

In the order of processing:

1. ``messages`` builds the teacher's request; ``teacher`` sends it (to an OpenAI-compatible endpoint, or to an offline
   template; a model on this machine is in ``actors/teacher.py``); ``client`` adds deadlines and retries, and
   ``journal`` keeps every paid response on disk.
2. ``checking`` accepts or rejects the draft: it must parse, and the chain must argue for each entity; ``claims``
   extracts the claims of a chain. A judge scores the drafts that pass.
3. ``generate`` combines these steps: it requests drafts until one passes, for many sentences concurrently;
   ``outcomes`` defines the result of a sentence.
4. ``rows`` converts an outcome to a NER-CoT row and back, ``report`` counts rejections by cause, ``files`` writes the
   output files, and ``validate`` checks existing rows.
"""
