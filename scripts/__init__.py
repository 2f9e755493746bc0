import sys

if sys.argv[:1] == ["-m"]:  # `python -m scripts.COMMAND`, which imports this before anything else
    from scripts.startup import begin

    begin()
