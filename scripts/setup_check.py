"""Report in one line why set-up cannot work here, before it starts. Runs on any Python 3, with nothing installed."""

import os
import shutil
import sys

NEEDED_DISK_GIB = 12
NEEDED_MEMORY_GIB = 10


def problem():
    """One line that says what is missing, or None."""
    if sys.version_info < (3, 11):
        return "Python 3.11 or newer is needed, this is {}.{}; try make PYTHON=python3.11".format(*sys.version_info[:2])
    if not sys.platform.startswith("linux"):
        return "Linux is needed (vLLM runs nowhere else), this is " + sys.platform
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        return "a C compiler is needed (DeepSpeed builds an operator): install gcc"
    if shutil.which("g++") is None:
        return "a C++ compiler is needed (DeepSpeed builds an operator): install g++"
    free = shutil.disk_usage(".").free / 2**30
    if free < NEEDED_DISK_GIB:
        return f"{NEEDED_DISK_GIB} GiB of free disk are needed here, there are {free:.1f}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if memory < NEEDED_MEMORY_GIB:
        return f"{NEEDED_MEMORY_GIB} GiB of memory are needed, there are {memory:.1f}"
    return None


if __name__ == "__main__":
    if sys.argv[1:]:
        print(f"{__doc__} It takes no options.")
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    found = problem()
    if found:
        sys.exit("set-up cannot work here: " + found)
