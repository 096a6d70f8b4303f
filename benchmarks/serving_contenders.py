"""
One contender of benchmarks/serving.py: a process that loads a model, says so, and tags what it is
told to. It imports nothing that its contender does not need, and runs in that one's environment.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence

BATCH_SIZE = 32


class Example(NamedTuple):
    words: List[str]
    language: Optional[str]
    tags: List[str]


Tags = List[List[str]]
Tag = Callable[[Sequence[Example]], Tags]


class Contender(NamedTuple):
    """
    # Parameters

    tag : `Callable[[Sequence[Example]], List[List[str]]]`
    warm_up : `Callable[[], None]`
        What a process that lives long does at first. It knows no words then.
    """

    tag: Tag
    warm_up: Callable[[], None] = lambda: None


def read(path: Path) -> List[Example]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Example(**json.loads(line)) for line in lines]


def exported(path: str) -> Contender:
    from structkd_allennlp.serving import Tagger

    tagger = Tagger.load(path, threads=1)

    def tag(examples: Sequence[Example]) -> Tags:
        words = [example.words for example in examples]
        return [one["tags"] for one in tagger.tag(words, [one.language for one in examples])]

    def warm_up() -> None:
        # It keeps what it has computed of words, and is not to know those of an earlier round.
        nonlocal tagger
        tagger = Tagger.load(path, threads=1)
        tagger.warm_up()

    return Contender(tag, warm_up)


def predictor(path: str, allennlp: bool = False) -> Contender:
    import prediction
    import torch

    torch.set_num_threads(1)
    tagger = prediction.load(path, allennlp)

    def tag(examples: Sequence[Example]) -> Tags:
        tags: Tags = []
        for i in range(0, len(examples), BATCH_SIZE):
            batch = [prediction.Sentence(*one[:2]) for one in examples[i : i + BATCH_SIZE]]
            tags += [one["tags"] for one in tagger.from_words(batch)]
        return tags

    return Contender(tag)


def spacy(path: str, tag_of: Callable[[Any], str]) -> Contender:
    import spacy
    from spacy.tokens import Doc

    nlp = spacy.load(path)

    def tag(examples: Sequence[Example]) -> Tags:
        docs = (Doc(nlp.vocab, words=example.words) for example in examples)
        return [[tag_of(token) for token in doc] for doc in nlp.pipe(docs, batch_size=256)]

    return Contender(tag)


def spacy_tagger(path: str) -> Contender:
    return spacy(path, lambda token: token.tag_)


def spacy_ner(path: str) -> Contender:
    def tag_of(token: Any) -> str:
        return f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O"

    return spacy(path, tag_of)


def udpipe(path: str) -> Contender:
    from ufal.udpipe import Model  # type: ignore[import-not-found]

    model = Model.load(path)

    def tag(examples: Sequence[Example]) -> Tags:
        tags = []
        for example in examples:
            sentence = _sentence(example.words)
            model.tag(sentence, Model.DEFAULT)
            tags.append([word.upostag for word in list(sentence.words)[1:]])
        return tags

    return Contender(tag)


def _sentence(words: Iterable[str], tags: Sequence[str] = ()) -> Any:
    from ufal.udpipe import Sentence

    sentence = Sentence()
    for i, word in enumerate(words):
        added = sentence.addWord(word)
        if tags:
            added.upostag = tags[i]
    return sentence


def train_udpipe(path: str, data: str, iterations: str) -> None:
    """The tagger of UDPipe alone, on words and tags, in so many iterations."""
    from ufal.udpipe import ProcessingError, Sentences, Trainer

    sentences = Sentences()
    for example in read(Path(data)):
        sentences.append(_sentence(example.words, example.tags))
    error = ProcessingError()
    options = f"iterations={iterations};models=1;use_lemma=0;use_xpostag=0;use_feats=0"
    model = Trainer.train(
        "morphodita_parsito", sentences, Sentences(), "none", options, "none", error
    )
    if error.occurred():
        raise SystemExit(error.message)
    Path(path).write_bytes(model if isinstance(model, bytes) else model.encode("latin-1"))


CONTENDERS: Dict[str, Callable[[str], Contender]] = {
    "exported": exported,
    "predictor": predictor,
    "allennlp": lambda path: predictor(path, allennlp=True),
    "spacy-tagger": spacy_tagger,
    "spacy-ner": spacy_ner,
    "udpipe": udpipe,
}


def main(kind: str, path: str, data: str) -> None:
    # What libraries print must not come between.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    examples = read(Path(data))
    contender = CONTENDERS[kind](path)
    contender.tag(examples[:1])
    print("ready", file=answers)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "warm":
            contender.warm_up()
            print("null", file=answers)
        elif command == "tags":
            print(json.dumps(contender.tag(examples)), file=answers)
        else:
            own = examples if command == "all" else [examples[int(rest[0])]]
            started = time.perf_counter()
            contender.tag(own)
            print(time.perf_counter() - started, file=answers)


if __name__ == "__main__":
    if sys.argv[1] == "train-udpipe":
        train_udpipe(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
