"""Taggers that others would use, trained on the sentences of a task for benchmarks/serving.py."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from allennlp.common.checks import ConfigurationError
from serving_contenders import Example

from structkd_allennlp.common.files import read_json, write_json
from structkd_allennlp.data.dataset_readers import TaggingReader

SCRIPT = Path(__file__).with_name("serving_contenders.py")


class Task(NamedTuple):
    """
    # Parameters

    files : `str`
        With `{language}` and `{part}`: train, dev or test.
    reader : `TaggingReader`
    metric : `str`
    pipe : `str`
        The component of spaCy's that does the same.
    """

    files: str
    reader: TaggingReader
    metric: str
    pipe: str

    @property
    def spans(self) -> bool:
        return self.metric == "F1"

    def examples(
        self, part: str, languages: Sequence[str], most: Optional[int] = None
    ) -> List[Example]:
        """Of all languages; of each so many at most."""
        found = []
        for language in languages:
            own = self.reader.sentences(self.files.format(language=language, part=part), language)
            for sentence in itertools.islice(own, most):
                assert sentence.tags is not None
                found.append(Example(sentence.words, language, sentence.tags))
        return found


def write(path: Path, sentences: Sequence[Example]) -> Path:
    lines = [json.dumps(one._asdict(), ensure_ascii=False) + "\n" for one in sentences]
    path.write_text("".join(lines), encoding="utf-8")
    return path


class Peers:
    """
    Trains, and keeps, each with what it was trained with beside it.

    # Parameters

    directory : `Path`
    task : `Task`
    languages : `Sequence[str]`
    most : `int`, optional
        Sentences of a language.
    """

    def __init__(
        self, directory: Path, task: Task, languages: Sequence[str], most: Optional[int]
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._task = task
        self._languages = list(languages)
        self._most = most

    def spacy(self, epochs: int) -> Path:
        """
        The small pipeline for a CPU that `spacy init config` proposes, with one component alone.
        """
        path = self._directory / "spacy"
        self._train(path, {"epochs": epochs}, lambda: self._train_spacy(path, epochs))
        return path / "model-best"

    def udpipe(self, python: str, iterations: int) -> Path:
        path = self._directory / "model.udpipe"
        command = [python, str(SCRIPT), "train-udpipe", str(path)]

        def train() -> None:
            data = write(path.with_suffix(".jsonl"), self._examples("train"))
            options = [str(data), str(iterations)]
            subprocess.run([*command, *options], check=True, stdout=sys.stderr)

        self._train(path, {"iterations": iterations}, train)
        return path

    def _examples(self, part: str) -> List[Example]:
        return self._task.examples(part, self._languages, self._most)

    def _train(self, path: Path, own: Dict[str, Any], train: Callable[[], None]) -> None:
        settings = {
            "files": self._task.files,
            "languages": self._languages,
            "sentences": self._most,
            **own,
        }
        # Comes last, so without it there is nothing whole.
        record = path.with_suffix(".json")
        if not record.exists():
            train()
            write_json(record, settings)
        elif read_json(record) != settings:
            raise ConfigurationError(
                f"{path} was trained with {json.dumps(read_json(record))}, not "
                f"{json.dumps(settings)}: say the same, name another folder by --peers, or remove "
                f"{record}"
            )

    def _train_spacy(self, directory: Path, epochs: int) -> None:
        import spacy
        from spacy.cli.init_config import init_config
        from spacy.tokens import Doc, DocBin

        directory.mkdir(exist_ok=True)
        vocab = spacy.blank("xx").vocab
        attributes = {"tagger": ("tags", ["TAG"]), "ner": ("ents", ["ENT_IOB", "ENT_TYPE"])}
        argument, stored = attributes[self._task.pipe]
        for part in ("train", "dev"):
            sentences = self._examples(part)
            docs = [Doc(vocab, words=one.words, **{argument: one.tags}) for one in sentences]
            DocBin(attrs=stored, docs=docs).to_disk(directory / f"{part}.spacy")
        config = init_config(
            lang="xx", pipeline=[self._task.pipe], optimize="efficiency", silent=True
        )
        config["training"].update(max_epochs=epochs, max_steps=0, patience=0, eval_frequency=500)
        config["training"]["logger"] = {"@loggers": "spacy.ConsoleLogger.v1", "progress_bar": False}
        config.to_disk(directory / "config.cfg")
        paths = [f"--paths.{part}={directory / f'{part}.spacy'}" for part in ("train", "dev")]
        command = [sys.executable, "-m", "spacy", "train", str(directory / "config.cfg")]
        subprocess.run(
            [*command, "--output", str(directory), *paths], check=True, stdout=sys.stderr
        )
