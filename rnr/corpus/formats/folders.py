"""A folder -> the files of data in it, by split; and what in it is not read."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from glob import glob
from pathlib import Path

from rnr.corpus.formats.files.opening import bare, read_json
from rnr.corpus.formats.reading import READERS
from rnr.corpus.formats.rows import DataError, are_texts
from rnr.corpus.formats.tools.brat import is_brat_folder
from rnr.corpus.formats.unsupported.endings import ENDINGS
from rnr.corpus.report import Reading
from rnr.messages import few

SPLITS = ("train", "test", "validation", "valid", "val", "dev", "devel")
"""Names of files and folders that are a part of a data set and not one of their own."""
_OF_CONLL = {"testa": "validation", "testb": "test"}
"""The endings of CoNLL-2003's files beside ``eng.train``."""

NOT_READ = "not read: it is beside the data that is read in its folder"
UNLIKE = "its splits have other names and are data sets of their own ({}): if they are one, give their files one name"

_SHARD = re.compile(r"-\d+-of-\d+$")
_NO_DATA = (
    *("labels", "dataset_info", "dataset_infos", "dataset_dict", "state", "config", "readme", "license", "package"),
)
_DOCUMENTS = (".py", ".ipynb", ".pdf", ".html", ".md", ".yaml", ".yml", ".docx", ".odt", ".rtf")
"""Endings of files that seldom are data, whatever they are called: a script may be called ``train``."""
_DEPTH = 4
"""So many folders deep data is looked for that is not read."""


def stem(file: Path) -> str:
    """The name of a file without its endings, and without the number of a shard: ``train-00000-of-00001.parquet``."""
    return _SHARD.sub("", bare(file).stem)


def source_name(file: Path) -> str:
    """The data set that a file belongs to: the folder's name for a split or beside a list of labels, else its own."""
    return source_place(file).name


def source_place(file: Path) -> Path:
    """The place of the data set that a file belongs to, called as the data set: a folder, or the file without its
    endings."""
    folder = Path(os.path.abspath(file)).parent  # not resolved: a link may point to a store where nothing has a name
    own = folder / stem(file)
    listed = any((folder / name).is_file() for name in ("labels.json", "dataset_dict.json"))
    if not listed and stem(file).lower() not in SPLITS:
        return own
    named = folder.parent if folder.name.lower() in SPLITS else folder
    return named if named.name else own


def parts(place: Path) -> dict[str, Path]:
    """What lies at a path, by split: the files of a folder, the folders of a DatasetDict, or else the path itself.

    A folder with one file of data is that file, and one with nothing but another folder is that folder. Raises
    DataError for a folder with several files of which none is a split, with two for one split, with one in a format
    that is not read, or with brat's documents beside splits.
    """
    if (place / "dataset_dict.json").is_file():
        return _dataset_dict(place)
    if not place.is_dir() or (place / "state.json").is_file():
        return {"": place}
    found = _splits(place)
    _refuse_unreadable(place, found)
    if is_brat_folder(place):
        if found:
            raise DataError(
                f"{place}: brat's documents are beside {', '.join(file.name for file in found.values())}; give each "
                "format a folder of its own, or name the files that you mean"
            )
        return {"": place}
    if found := found or _splits_by_ending(place):
        read = {name: found[name] for name in SPLITS if name in found}
        return {name: _only_one(file) if file.is_dir() else file for name, file in read.items()}
    files = _files_of_data(place)
    if len(files) == 1:
        return {"": files[0]}
    folders = [folder for folder in sorted(place.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    if not files and len(folders) == 1:
        return parts(folders[0])
    needs = "it needs files such as train.jsonl and test.jsonl"
    raise DataError(f"{place}: no split in this folder; {needs}{_what(place)}")


def _splits(place: Path) -> dict[str, Path]:
    """The files and folders in a folder that are called as splits, without documents of brat; raises DataError where
    two are the same split."""
    found: dict[str, Path] = {}
    for file in _candidates(place):
        name = stem(file).lower()
        if name not in SPLITS or _is_of_brat(file):
            continue
        if name in found and _SHARD.search(bare(file).stem):
            raise DataError(f"{place}: the split {name} lies in several files; name them all: '{place}/{name}-*'")
        if name in found:
            raise DataError(f"{place}: {found[name].name} and {file.name} are the same split; name the one you mean")
        found[name] = file
    return found


def _splits_by_ending(place: Path) -> dict[str, Path]:
    """The files of a folder that have one name and the split as an ending (``eng.train``, ``eng.testa``); none where
    there is only one, or one split twice."""
    found: dict[str, Path] = {}
    files = [file for file in sorted(place.iterdir()) if file.is_file() and not file.name.startswith(".")]
    for file in files:
        endings = bare(file).name.lower().split(".")[1:]
        named = [name for ending in endings if (name := _OF_CONLL.get(ending, ending)) in SPLITS]
        if not named:
            continue
        if len(named) > 1 or named[0] in found:
            return {}
        found[named[0]] = file
    return found if len(found) > 1 and len({file.name.partition(".")[0] for file in found.values()}) == 1 else {}


def _is_of_brat(file: Path) -> bool:
    return file.suffix == ".ann" or (file.suffix == ".txt" and file.with_suffix(".ann").is_file())


def _refuse_unreadable(place: Path, found: dict[str, Path]) -> None:
    """Raises DataError for a split that lies there in a format alone that is not read."""
    for file in sorted(place.iterdir()):
        name = _begin(file)
        if name not in SPLITS or name in found:
            continue
        inside = sorted(file.iterdir()) if file.is_dir() and not _files_of_data(file) else [file]
        for one in filter(_cannot_be_read, inside):
            where, what = one.relative_to(place), ENDINGS[one.suffix.lower()]
            raise DataError(
                f"{place}: the split {name} cannot be read: {where} is {what}; or take it out of the folder"
            )


def _begin(file: Path) -> str:
    """The name of a file up to its first dot, whatever its endings: ``dev.jsonl.zst`` -> ``dev``."""
    return _SHARD.sub("", file.name.partition(".")[0]).lower()


def _cannot_be_read(file: Path) -> bool:
    """Whether a file is probably data, in a format that is not read."""
    ending = file.suffix.lower()
    return ending in ENDINGS and ending not in _DOCUMENTS and file.is_file() and not file.name.startswith(".")


def matches(pattern: str) -> list[Path]:
    """What is there of a pattern, in which ``**`` stands for folders of any depth: of those one that is a data set
    stands for all below it, and others for none; what is no data by its name is left out."""
    found = sorted(map(Path, glob(pattern, recursive=True)))
    if "**" not in pattern:
        return found
    above = {folder for file in found for folder in file.parents}
    sets = {folder for folder in found if folder.is_dir() and _is_data_set(folder)}
    return [
        file
        for file in found
        if sets.isdisjoint(file.parents) and (file in sets or file not in above) and not _is_no_data(file)
    ]


def _is_data_set(folder: Path) -> bool:
    """Whether a folder is read as a whole: one with splits, a saved data set, or one of brat."""
    if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")) or is_brat_folder(folder):
        return True
    try:
        return bool(_splits(folder))
    except DataError:  # of two files for one split: raised where it is read
        return True


def _is_no_data(file: Path) -> bool:
    """Whether a file stands beside data and is none: a list of labels, a document, a script."""
    return file.is_file() and (bare(file).stem.lower() in _NO_DATA or file.suffix.lower() in _DOCUMENTS)


def note_not_read(paths: Sequence[str], reading: Reading) -> None:
    """Note the files and folders of data that stand in a folder and are not read with it, and splits that are taken
    for several data sets."""
    for place in (one for path in paths for one in ([Path(path)] if Path(path).exists() else matches(path))):
        if not place.is_dir():
            continue
        with suppress(DataError):  # raised where they are read
            read = list(parts(place).values())
            for file in _unread(place, read):
                reading.fact(NOT_READ, file)
            names = list(dict.fromkeys(map(source_name, read)))
            if len(names) > 1 and not (place / "dataset_dict.json").is_file():
                reading.fact(UNLIKE.format(", ".join(names)), place)


def _unread(place: Path, read: Sequence[Path]) -> Iterator[Path]:
    """What may be data beside the files and folders that are read, in the folders on the way to them."""
    above = {folder for file in read for folder in (file, *file.parents)}
    for folder in sorted(folder for folder in above if folder.is_dir() and place in (folder, *folder.parents)):
        if (folder / "state.json").is_file():  # a saved dataset, all of whose files are its own
            continue
        documents = (".ann", ".txt") if is_brat_folder(folder) else ()
        yield from (
            file
            for file in sorted(folder.iterdir())
            if file not in above and file.suffix not in documents and _may_be_unread(file)
        )


def _may_be_unread(file: Path, depth: int = _DEPTH) -> bool:
    """Whether a file, or one in a folder, may be data, also of a format that is not read."""
    if file.name.startswith("."):
        return False
    if file.is_dir():
        return depth > 0 and any(_may_be_unread(inner, depth - 1) for inner in file.iterdir())
    split = _begin(file) in SPLITS and file.suffix.lower() not in _DOCUMENTS
    return split or _may_be_data(file) or _cannot_be_read(file)


def _candidates(place: Path) -> list[Path]:
    return [file for file in sorted(place.iterdir()) if _may_be_data(file)]


def _what(place: Path) -> str:
    """The message about what lies in a folder without a split."""
    files = _files_of_data(place)
    if not files:
        there = [file.name for file in sorted(place.iterdir())]
        if (place / "seq.in").is_file() and (place / "seq.out").is_file():
            return "; words and tags lie in two files: `paste seq.in seq.out > train.txt` puts them side by side"
        folders = [file for file in place.iterdir() if file.is_dir()]
        every = f"; all of them are '{place}/*'" if len(folders) == len(there) > 1 else ""
        return f"; there are {few(there, 5)}{every}" if there else "; it is empty"
    endings = {"".join(file.suffixes[-2:]) if bare(file) != file else file.suffix for file in files}
    every = f", or all of them by '{place}/*{endings.pop()}'" if len(endings) == 1 else ""
    return f"; name the one you mean of {few([file.name for file in files], 5)}{every}"


def _may_be_data(file: Path) -> bool:
    if file.is_dir():
        return file.name.lower() in SPLITS and _is_split(file)
    if file.name.startswith("."):  # of a file system or an editor: ._train.jsonl, .train.jsonl.swp
        return False
    name = bare(file)
    return (name.suffix.lower() in READERS and name.stem.lower() not in _NO_DATA) or name.name.lower() in SPLITS


def _is_split(folder: Path) -> bool:
    """Whether a folder called as a split is one: a saved data set, one of brat, or files of data that are no splits."""
    if (folder / "state.json").is_file() or is_brat_folder(folder):
        return True
    splits = {stem(file).lower() for file in _files_of_data(folder)}
    return bool(splits) and splits.isdisjoint(name for name in SPLITS if name != folder.name.lower())


def _only_one(folder: Path) -> Path:
    """What lies in the folder of a split; raises DataError for several files."""
    files = [] if (folder / "state.json").is_file() or is_brat_folder(folder) else _files_of_data(folder)
    if len(files) > 1:
        listed = few([file.name for file in files], 5)
        raise DataError(f"{folder}: this split lies in {len(files)} files ({listed}); name them all: '{folder}/*'")
    return files[0] if files else folder


def _files_of_data(folder: Path) -> list[Path]:
    return [file for file in _candidates(folder) if file.is_file()]


def _dataset_dict(folder: Path) -> dict[str, Path]:
    listed = read_json(folder / "dataset_dict.json")
    splits = listed.get("splits") if isinstance(listed, dict) else None
    if not are_texts(splits):
        raise DataError(f"{folder / 'dataset_dict.json'}: no list of names in 'splits'")
    return {name: folder / name for name in splits}
