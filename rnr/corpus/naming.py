"""What files are called: the data set of each, and what the uids of its rows begin with."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnr.corpus.formats.folders import source_place, stem

DEMO = Path(__file__).resolve().parent / "demo_data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of a file among all that are read with it."""

    source: str
    """The data set, for rows that name none."""
    uid_prefix: str
    shared: bool
    """Whether the data set has a longer name than its own, because another place has this one, too."""


def names_of(files: Sequence[Path]) -> dict[Path, Names]:
    """The names of each file, whatever their order.

    Data sets of one name in different places are called by as much of their paths as differs. The prefix of the uids is
    one that no other file has, because predictions and the ledger are keyed by uids: data set and name of the file, or
    where several share these, as much of their paths as differs.
    """
    places = {file: _place(file) for file in files}
    # At least a folder: the name alone is shared.
    sources = _distinct_names(dict.fromkeys(places.values()), lambda place: place.name, 2)
    # At least three parts, because a data set and a file's name have two and may not be taken for these.
    prefixes = _distinct_names(files, lambda file: f"{places[file].name}/{stem(file)}", 3)
    return {
        file: Names(source=sources[place], uid_prefix=prefixes[file], shared=sources[place] != place.name)
        for file, place in places.items()
    }


def _place(file: Path) -> Path:
    """As ``source_place``; the embedded files are data sets of their own, whatever they are called."""
    return DEMO / stem(file) if file.parent.resolve() == DEMO else source_place(file)


def _distinct_names(paths: Iterable[Path], name: Callable[[Path], str], least: int) -> dict[Path, str]:
    """For each path its name, or where several have one, so many of the last parts of their paths that they differ."""
    sharing: dict[str, list[Path]] = {}
    for path in paths:
        sharing.setdefault(name(path), []).append(path)
    return {
        path: own
        for shared, same in sharing.items()
        for path, own in ({same[0]: shared} if len(same) == 1 else _distinct_ends(same, least)).items()
    }


def _distinct_ends(paths: Sequence[Path], least: int) -> dict[Path, str]:
    parts = {path: path.absolute().parts for path in paths}
    length = next(n for n in itertools.count(least) if len({each[-n:] for each in parts.values()}) == len(paths))
    return {path: Path(*each[-length:]).as_posix() for path, each in parts.items()}
