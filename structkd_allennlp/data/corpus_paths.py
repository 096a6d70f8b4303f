"""
Corpus paths: how a configuration names the files of a corpus, their languages and parts of them.

A path is

- the path of a file, which may start with its language, `gl=data/gl/test.conllu`, and end in one or
  more parts, `train.xml#not-fold=1of10`;
- a pattern such as `data/{language}/train.txt`, which stands for a file of each language of the
  dataset reader;
- a dictionary from language to the path of a file or a list of these, or JSON of such a dictionary.
  In the place of a language, `"unlabelled"` stands for text without labels, whose path can have any
  of these forms: `{"en": "en.txt", "unlabelled": "text/{language}.txt"}`;
- a list of paths.

From a dictionary, a reader with `languages` of its own reads these alone, and each of them has to
have a path (see `files_of_languages`).

`#fold=IofN` is the I-th of N parts of a file, all of about the same size, and `#not-fold=IofN` is
all of the file but this part. Several parts, one after the other, are what is in all of them.
Sentences with the same words are always in the same part (see `fold_of`), so a corpus without
development data is split in the same way each time: `train.xml#not-fold=1of10` to train on,
`train.xml#fold=1of10` to stop by.

A file that exists under exactly the given name is that file, whatever else its name could mean. All
forms are for the `multilingual` reader; other readers take one file, with or without parts.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, Container, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.text import quoted

Paths = Union[str, "os.PathLike[str]", Mapping[str, Any], Sequence[Any]]

LANGUAGE = re.compile(r"[A-Za-z]{2,}(?:[-_][A-Za-z0-9]+)*")
"""What can stand for a language before the `=` of a path."""

UNLABELLED = "unlabelled"
"""The key, in the place of a language, of paths to text without labels."""

_PATTERN = "{language}"
_STATED = re.compile(rf"({LANGUAGE.pattern})=(.+)")
_PART = re.compile(r"(not-)?fold=(\d{1,9})of(\d{1,9})", flags=re.ASCII)


class CorpusFile(NamedTuple):
    """
    One of the files that a path stands for.

    # Parameters

    path : `str`
        Of the file, with its parts (see `split_parts`).
    language : `str`, optional (default=`None`)
        The one that the path states.
    unlabelled : `bool`, optional (default=`False`)
        Whether it is named as text without labels.
    """

    path: str
    language: Optional[str] = None
    unlabelled: bool = False


class Part(NamedTuple):
    """The sentences of a fold (from 1 to `folds`), or all others. As a string, `#fold=1of10`."""

    fold: int
    folds: int
    others: bool = False

    def selects(self, words: Sequence[str]) -> bool:
        return (fold_of(words, self.folds) == self.fold) != self.others

    def __str__(self) -> str:
        return f"#{'not-' * self.others}fold={self.fold}of{self.folds}"


def fold_of(words: Sequence[str], folds: int) -> int:
    """
    The fold, from 1 to `folds`, of a sentence. It depends on nothing but its words, so a sentence
    that recurs is always in the same fold, whatever file, order or process it is met in, and a
    model trained on the other folds has never seen it.
    """
    text = "\x1f".join(words).encode("utf-8", "surrogatepass")
    # Not Python's own hash, which differs from process to process.
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest, "big") % folds + 1


def files_of(paths: Paths, languages: Sequence[str] = ()) -> List[CorpusFile]:
    """
    The files that a path stands for, in order. They need not exist.

    # Parameters

    paths : `Paths`
    languages : `Sequence[str]`, optional (default=`()`)
        What `{language}` stands for.

    # Raises

    `ConfigurationError` for what is not a path, names no file, or needs languages and has none.
    """
    paths = _read(paths)
    files: List[CorpusFile] = []
    if isinstance(paths, Mapping):
        for language, value in paths.items():
            if language == UNLABELLED:
                files += [x._replace(unlabelled=True) for x in files_of(value, languages)]
            else:
                own = value if isinstance(value, (list, tuple)) else [value]
                files += [CorpusFile(_text(path), language) for path in own]
    elif not isinstance(paths, str):
        for path in paths:
            files += files_of(path, languages)
    elif _PATTERN not in paths:
        stated = None if os.path.exists(paths) else _STATED.fullmatch(paths)
        files.append(CorpusFile(stated[2], stated[1]) if stated else CorpusFile(paths))
    elif languages:
        files += [CorpusFile(paths.replace(_PATTERN, x), x) for x in dict.fromkeys(languages)]
    else:
        raise ConfigurationError(
            f'{paths}: no languages to put for {_PATTERN}. Set "languages" in the dataset reader.'
        )
    if not files:
        raise ConfigurationError(f"{quoted(paths)} names no file. Name one for each language.")
    return files


def files_of_languages(paths: Paths, languages: Sequence[str]) -> List[CorpusFile]:
    """
    As `files_of`, but from dictionaries only the files of these languages, and text without labels.

    A dictionary is meant as a configuration has it. JSON in a string, as on a command line, is read
    whole, and so is every path that states its language.

    # Raises

    `ConfigurationError` as `files_of`, and where a dictionary leaves a language without a path.
    """
    files = files_of(paths, languages)
    if not _has_languages(paths):
        return files
    found = {file.language or guess_language(file.path, languages) for file in files}
    lacking = [language for language in languages if language not in found]
    # A file that nothing is known of may be in any language.
    if lacking and None not in found:
        raise ConfigurationError(
            f'{quoted(paths)}: no path for {", ".join(map(quoted, lacking))} of the "languages" of '
            "the dataset reader. Add it, or take the language out of these. (To read other "
            "languages for once, write the path as 'en=path', or the dictionary as JSON in a "
            "string.)"
        )
    return files_of(_only(languages, paths), languages)


def with_part(paths: Paths, part: Part) -> Paths:
    """A path in the same form, for this part of every file that `paths` stands for."""
    if isinstance(paths, (str, os.PathLike)):
        own = _read(paths)
        return f"{own}{part}" if isinstance(own, str) else json.dumps(with_part(own, part))
    if isinstance(paths, Mapping):
        return {key: with_part(value, part) for key, value in paths.items()}
    return [with_part(path, part) for path in paths]


def split_parts(path: str) -> Tuple[str, List[Part]]:
    """
    The path of a file without its parts, and the parts, whose intersection is meant.

    Raises `ConfigurationError` where what follows a `#` is not a part, but the `#` follows the name
    of a file that exists.
    """
    parts: List[Part] = []
    file = path
    while "#" in file and not os.path.exists(file):
        base, _, suffix = file.rpartition("#")
        match = _PART.fullmatch(suffix)
        if match is None and not any(map(os.path.exists, (base, path.partition("#")[0]))):
            # Nothing says that the sign was meant to name a part.
            break
        if match is None or not 1 <= int(match[2]) <= int(match[3]) or int(match[3]) < 2:
            raise ConfigurationError(
                f"{path}: {quoted('#' + suffix)} is not a part of a file. End the path in "
                "#fold=IofN or #not-fold=IofN, N being 2 or more and I from 1 to N."
            )
        file = base
        parts.insert(0, Part(int(match[2]), int(match[3]), others=bool(match[1])))
    return file, parts


def file_of(path: str) -> Path:
    """The file that the path of one file stands for, whatever part of it the path names."""
    return Path(split_parts(path)[0])


def guess_language(path: str, known: Container[str]) -> Optional[str]:
    """
    The language that the start of a file's name (`en_ewt-ud-test.conllu`, `en.txt`) or its folder's
    name stands for, where that is one of the `known` languages or else has two letters.
    """
    folder, name = os.path.split(os.path.abspath(path))
    candidates = [name.partition(".")[0], re.split(r"[._-]", name)[0], os.path.basename(folder)]
    for candidate in candidates:
        if candidate in known:
            return candidate
    return next((x for x in candidates if re.fullmatch("[a-z]{2}", x)), None)


def _has_languages(paths: Paths) -> bool:
    """Whether there is a dictionary by language, other than JSON."""
    if isinstance(paths, Mapping):
        return any(key != UNLABELLED for key in paths)
    return isinstance(paths, (list, tuple)) and any(map(_has_languages, paths))


def _only(languages: Sequence[str], paths: Paths) -> Paths:
    """The same path, without the other languages of its dictionaries."""
    if isinstance(paths, Mapping):
        return {x: own for x, own in paths.items() if x in languages or x == UNLABELLED}
    if isinstance(paths, (list, tuple)):
        return [own for own in (_only(languages, path) for path in paths) if own != {}]
    return paths


def _read(paths: Paths) -> Union[str, Mapping[str, Any], Sequence[Any]]:
    """The outermost level of a path: a string other than JSON, a dictionary or a list."""
    if isinstance(paths, (Mapping, list, tuple)):
        return paths
    text = _text(paths)
    if not text.lstrip().startswith("{") or text.startswith(_PATTERN):
        return text
    try:
        found: Mapping[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{quoted(text)}: not a valid JSON dictionary from language to path ({error}). Write "
            'it as {"en": "data/en.txt", "es": "data/es.txt"}, for example.'
        ) from error
    return found


def _text(path: Any) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigurationError(
            f"{quoted(path)} is not a path. Write a path, a dictionary from language to path, or "
            "a list of these."
        )
    return os.fspath(path)
