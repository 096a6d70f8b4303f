"""
What it takes to serve: sentences a second in batches of 32, and milliseconds for one sentence, of a
student, of its teachers side by side (each sentence by that of its language) and of AllenNLP's
`crf_tagger` with the student's weights. Once from words to readable results, and once of the model
alone, on tensors that are ready; with and without marginals, for the best and for the 10 best tag
sequences.

    python benchmarks/prediction.py --output out/benchmarks/prediction.json
"""

import itertools
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence

import measure
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict
from allennlp.data import Batch, DatasetReader, Token
from allennlp.models import Model
from allennlp.models.archival import load_archive
from allennlp.predictors import Predictor
from training import crf_tagger

from structkd_allennlp import MultilingualReader, StructuredCrfTagger
from structkd_allennlp.data.sentences import Sentence, instance_of_words

BATCH_SIZE = 32
STUDENT, TEACHERS, ALLENNLP = "student", "teachers, side by side", "AllenNLP's crf_tagger"
WORDS, TENSORS = "from words to results", "the model alone"
THROUGHPUT, LATENCY = "throughput", "latency"

Batches = List[List[Sentence]]
"""Each of sentences of one language."""


class Tagger(NamedTuple):
    model: Model
    reader: DatasetReader
    predictor: Predictor

    def from_words(self, sentences: Sequence[Sentence]) -> List[JsonDict]:
        instances = [
            instance_of_words(self.reader, [Token(word) for word in words], language)
            for words, language in sentences
        ]
        return self.predictor.predict_batch_instance(instances)

    def tensors(self, sentences: Sequence[Sentence]) -> Dict[str, Any]:
        batch = Batch(
            [
                instance_of_words(self.reader, [Token(word) for word in words], language)
                for words, language in sentences
            ]
        )
        batch.index_instances(self.model.vocab)
        return batch.as_tensor_dict()


class System:
    """What serves all languages: one tagger, or one for each."""

    def __init__(self, title: str, archives: Dict[str, str], allennlp: bool = False) -> None:
        self.title = title
        self.bytes = sum(Path(archive).stat().st_size for archive in set(archives.values()))
        loaded = {archive: load(archive, allennlp) for archive in dict.fromkeys(archives.values())}
        self._taggers = {language: loaded[archive] for language, archive in archives.items()}
        self.parameters = sum(
            parameter.numel() for one in loaded.values() for parameter in one.model.parameters()
        )

    def set(self, top_k: int, marginals: bool) -> bool:
        """Whether it can do so."""
        for tagger in self._taggers.values():
            model: Any = getattr(tagger.model, "student", tagger.model)
            if marginals and not isinstance(model, StructuredCrfTagger):
                return False
            model.top_k, model.marginals = top_k, marginals
        return True

    def tags(self, batches: Batches) -> List[List[str]]:
        return [one["tags"] for result in self.from_words(batches)() for one in result]

    def from_words(self, batches: Batches) -> Callable[[], List[List[JsonDict]]]:
        return lambda: [self._of(batch).from_words(batch) for batch in batches]

    def from_tensors(self, batches: Batches) -> Callable[[], object]:
        ready = [(self._of(batch).model, self._of(batch).tensors(batch)) for batch in batches]

        @torch.no_grad()
        def call() -> object:
            return [model(**tensors) for model, tensors in ready]

        return call

    def _of(self, batch: List[Sentence]) -> Tagger:
        return self._taggers[batch[0].language or ""]


def load(path: str, allennlp: bool) -> Tagger:
    archive = load_archive(path)
    model, reader = archive.model.eval(), archive.dataset_reader
    if not allennlp:
        return Tagger(model, reader, Predictor.by_name("structured_tagger")(model, reader))
    config = archive.config.as_dict(quiet=True)["model"]
    weights = getattr(model, "student", model).state_dict()
    params = Params(crf_tagger(config.get("student", config)))
    same = Model.from_params(vocab=model.vocab, params=params).eval()
    same.load_state_dict(weights)
    return Tagger(same, reader, Predictor(same, reader))


def check_files(archives: Sequence[str]) -> None:
    missing = [archive for archive in archives if not Path(archive).exists()]
    if missing:
        raise ConfigurationError(
            f"there is no {', '.join(missing)}: name archives by --student and --teachers, or "
            "make these by allennlp distillation-suite training_configs/suites/ud.jsonnet "
            "-s out/suites/ud"
        )


def read(reader: DatasetReader, path: str, sentences: int) -> List[Sentence]:
    """So many sentences, of all languages in turn."""
    if not isinstance(reader, MultilingualReader):
        raise ConfigurationError(
            f"the student was trained with a {type(reader).__name__}: it must be one of several "
            'languages, with a "multilingual" dataset reader'
        )
    found = itertools.islice(reader.sentences(path), sentences)
    return [Sentence(one.words, one.language) for one in found]


def batched(sentences: Sequence[Sentence]) -> Batches:
    result: Batches = []
    for language in dict.fromkeys(language for _, language in sentences):
        own = [sentence for sentence in sentences if sentence.language == language]
        result += [own[i : i + BATCH_SIZE] for i in range(0, len(own), BATCH_SIZE)]
    return result


def one_by_one(calls: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """Each time it is called, the next of them."""
    turn = itertools.cycle(calls)
    return lambda: next(turn)()


def measured(
    systems: Sequence[System], sentences: Sequence[Sentence], rounds: int, singles: int
) -> Iterator[measure.Row]:
    batches = batched(sentences)
    alone = [[sentence] for sentence in sentences[:singles]]
    for top_k, marginals in itertools.product((1, 10), (False, True)):
        able = [system for system in systems if system.set(top_k, marginals)]
        for scope in (WORDS, TENSORS):
            setting = {"top_k": top_k, "marginals": marginals, "scope": scope}
            measure.note(str(setting))

            def prepared(system: System, some: Batches, scope: str = scope) -> Any:
                return system.from_words(some) if scope == WORDS else system.from_tensors(some)

            throughput = measure.timed(
                {system.title: prepared(system, batches) for system in able}, rounds
            )
            latency = measure.timed(
                {
                    system.title: one_by_one([prepared(system, [one]) for one in alone])
                    for system in able
                },
                singles,
            )
            for kind, found in ((THROUGHPUT, throughput), (LATENCY, latency)):
                for title, samples in found.items():
                    yield {
                        "system": title,
                        "measure": kind,
                        **setting,
                        "sentences": len(sentences) if kind == THROUGHPUT else 1,
                        **measure.summary(samples),
                    }


def tables(systems: Sequence[measure.Row], rows: Sequence[measure.Row]) -> str:
    titles = [system["title"] for system in systems]
    sizes = [
        [system["title"], f"{system['parameters']:,}", f"{system['bytes'] / 1e6:.1f}"]
        for system in systems
    ]
    result = [measure.table(["", "parameters", "archives, MB"], sizes)]
    for kind, unit in ((THROUGHPUT, "sentences a second"), (LATENCY, "milliseconds a sentence")):
        lines = []
        for scope, top_k, marginals in itertools.product((WORDS, TENSORS), (1, 10), (False, True)):
            key = (kind, scope, top_k, marginals)
            medians = {
                row["system"]: row["median"] / row["sentences"]
                for row in rows
                if (row["measure"], row["scope"], row["top_k"], row["marginals"]) == key
            }
            name = f"{scope}, top {top_k}{', marginals' if marginals else ''}"
            lines.append([name, *(_cell(medians, title, kind) for title in titles)])
        result.append(measure.table([unit, *titles], lines))
    return "\n\n".join(result) + "\n"


def _cell(medians: Dict[str, float], title: str, kind: str) -> str:
    if title not in medians:
        return ""
    seconds = medians[title]
    return f"{1 / seconds:,.0f}" if kind == THROUGHPUT else f"{1000 * seconds:.2f}"


def main() -> None:
    parser = measure.parser(__doc__, "prediction", rounds=5)
    parser.add_argument("--student", default="out/suites/ud/students/posterior/seed1/model.tar.gz")
    parser.add_argument("--teachers", default="out/suites/ud/teachers/crf/{language}/model.tar.gz")
    parser.add_argument("--test", default="data/ud/{language}/test.conllu")
    parser.add_argument("--sentences", type=measure.positive, default=800)
    parser.add_argument(
        "--singles", type=measure.positive, default=100, help="how many to tag one by one"
    )
    args = measure.parse(parser)
    check_files([args.student])
    reader = load_archive(args.student).dataset_reader
    sentences = read(reader, args.test, args.sentences)
    languages = sorted({language or "" for _, language in sentences})
    teachers = {language: args.teachers.format(language=language) for language in languages}
    check_files(list(teachers.values()))
    student = dict.fromkeys(languages, args.student)
    systems = [
        System(STUDENT, student),
        System(TEACHERS, teachers),
        System(ALLENNLP, student, allennlp=True),
    ]
    sizes = [
        {"title": system.title, "parameters": system.parameters, "bytes": system.bytes}
        for system in systems
    ]
    if systems[0].tags(batched(sentences)) != systems[2].tags(batched(sentences)):
        raise RuntimeError("AllenNLP's tagger gives other tags than the student with its weights")
    environment = measure.environment(args.threads)
    singles = min(args.singles, len(sentences))
    rows = list(measured(systems, sentences, args.rounds, singles))
    print(tables(sizes, rows))
    measure.write(args.output, "prediction", environment, systems=sizes, rows=rows)


if __name__ == "__main__":
    main()
