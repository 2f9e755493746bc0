"""Reasoning chains from a teacher: generating, checking and writing them. Nothing here knows an engine.

In the order of processing:

1. ``messages`` writes the teacher's request; ``teacher`` sends it (an OpenAI-compatible endpoint, or a template
   offline; a model on this machine is in ``actors/teacher.py``); ``client`` adds deadlines and retries, and ``journal``
   keeps every paid response on disk.
2. ``checking`` accepts or rejects the draft: it must parse, and each entity must be argued for in the chain;
   ``claims`` reads what a chain claims. A judge scores what is left.
3. ``generate`` puts this together: drafts until one passes, many sentences at a time; ``outcomes`` holds the result
   of each.
4. ``rows`` writes an outcome as a NER-CoT row and reads one back, ``report`` counts rejections by cause, ``files``
   writes all of it, ``validate`` checks rows that exist already.
"""
