"""
What a target store loses and saves where it keeps float16, or the best labels alone: bytes a token
on disk, how far the teacher's distribution moves, and by how much that changes what a student is
trained by. Prints a table of Markdown.

    python benchmarks/store.py --case 'UD, 17 labels' TEACHER STUDENT en=data/ud/en/test.conllu

A case is a name, two taggers of the same labels, and data that the reader of the first reads. The
student is any other tagger, such as one of another seed: what is looked at is how its losses depend
on the store.
"""

import tempfile
from itertools import islice
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence

import measure
import numpy
import torch

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.batching import by_length
from structkd_allennlp.data.sentences import Sentence, sentence_of
from structkd_allennlp.distillation.objectives import PosteriorObjective, StructuralObjective
from structkd_allennlp.distillation.stored_scores import Encoding, Record, chain_of
from structkd_allennlp.distillation.target_store import Head, TargetStore
from structkd_allennlp.distillation.teacher import ArchiveSource
from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.modules.tagger_chain import Potentials

ENCODINGS = [
    Encoding(precision, top) for precision in ("float32", "float16") for top in (None, 8, 4, 2)
]
SENTENCES_A_BATCH = 64
# As many scores as a store of some size has, in batches as a teacher's are.
TEACHERS = 10
TOKENS_A_WRITE = 4096

Scores = List[numpy.ndarray]


class Case(NamedTuple):
    name: str
    head: Head
    sentences: List[Sentence]
    # Shape of each: (length, labels)
    scores: Scores
    # Distributions of the student over the labels of the teacher, by batch.
    student: List[LinearChain]

    def batches(self, scores: Scores) -> Iterator[LinearChain]:
        return chains(self.head.potentials, scores)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.scores))


def chains(potentials: Potentials, scores: Scores) -> Iterator[LinearChain]:
    for start in range(0, len(scores), SENTENCES_A_BATCH):
        yield chain_of(potentials, scores[start : start + SENTENCES_A_BATCH])


def scored(archive: str, sentences: Sequence[Sentence]) -> Scores:
    source = ArchiveSource(archive)
    found: Scores = []
    for start in range(0, len(sentences), SENTENCES_A_BATCH):
        batch = sentences[start : start + SENTENCES_A_BATCH]
        found += source.emissions(batch, torch.device("cpu"))
    return found


def made(most: int, name: str, teacher: str, student: str, path: str) -> Case:
    source, other = ArchiveSource(teacher), ArchiveSource(student)
    reader = source.loaded()[1].dataset_reader
    distinct = {
        Sentence(tuple(words), language): None
        for words, language in map(sentence_of, reader.read(path))
    }
    sentences = sorted(islice(distinct, most), key=lambda one: len(one.words))
    head, own = source.head(), other.head()
    if sorted(head.labels) != sorted(own.labels):
        raise SystemExit(f"{name}: the labels of {teacher} and {student} are not the same")
    order = [own.labels.index(label) for label in head.labels]
    transitions, first, last = own.potentials
    matched = Potentials(transitions[order][:, order], first[order], last[order])
    theirs = list(chains(matched, [one[:, order] for one in scored(student, sentences)]))
    return Case(name, head, sentences, scored(teacher, sentences), theirs)


@torch.no_grad()
def losses(case: Case, scores: Scores) -> Dict[str, float]:
    """Of what is kept, against all scores in float32; divergences and losses in nats."""
    marginals, worst, paths, same = 0.0, 0.0, 0.0, 0
    objectives = {"posterior": PosteriorObjective(), "structural": StructuralObjective()}
    full: Dict[str, List[torch.Tensor]] = {name: [] for name in objectives}
    kept: Dict[str, List[torch.Tensor]] = {name: [] for name in objectives}
    for exact, other, student in zip(
        case.batches(case.scores), case.batches(scores), case.student, strict=True
    ):
        p, log_p, log_q = exact.marginals, exact.log_marginals, other.log_marginals
        by_token = torch.where(p > 0, p * (log_p - log_q), 0.0).sum(-1)[exact.mask]
        marginals += float(by_token.sum())
        worst = max(worst, float(by_token.max()))
        paths += float(exact.kl(other).sum())
        best, theirs = p.argmax(-1)[exact.mask], other.marginals.argmax(-1)[exact.mask]
        same += int((best == theirs).sum())
        for name, objective in objectives.items():
            full[name].append(objective(exact, student))
            kept[name].append(objective(other, student))
    result = {
        "kl_marginals": marginals / case.tokens,
        "kl_marginals_worst": worst,
        "kl_sequences": paths / case.tokens,
        "best_labels_changed": 1 - same / case.tokens,
    }
    for name in objectives:
        mine, theirs = torch.cat(kept[name]), torch.cat(full[name])
        result[f"{name}_full"] = float(theirs.mean())
        result[name] = float((mine - theirs).abs().mean() / theirs.mean())
    return result


def stored(case: Case, encoding: Encoding) -> measure.Row:
    with tempfile.TemporaryDirectory() as path:
        store = TargetStore(path, encoding.precision, encoding.top)
        pairs = list(zip(case.sentences, case.scores, strict=True))
        for teacher in map(str, range(TEACHERS)):
            store.put_head(teacher, case.head)
            for batch in by_length(pairs, lambda pair: len(pair[1]), TOKENS_A_WRITE):
                store.put(teacher, batch)
        found = [store.get(teacher, one, len(case.head.labels)) for one in case.sentences]
        kept = [one for one in found if one is not None]
        return {
            **encoding._asdict(),
            "bytes": store.size() / case.tokens / TEACHERS,
            **losses(case, kept),
        }


def by_emissions(case: Case, encoding: Encoding) -> measure.Row:
    """As if the teacher were a softmax: its best labels, and their floor, without transitions."""
    kept = []
    for scores in case.scores:
        record = Record.at(b"", memoryview(encoding.record(b"", scores)), 0)
        assert record is not None
        kept.append(record.scores())
    return {**encoding._asdict(), "by": "emissions alone", **losses(case, kept)}


def rows(case: Case) -> Iterator[measure.Row]:
    labels = len(case.head.labels)
    shared = {"case": case.name, "labels": labels, "tokens": case.tokens}
    shared["sentences"] = len(case.sentences)
    for encoding in ENCODINGS:
        if encoding.top is None or encoding.top < labels:
            yield {**shared, **stored(case, encoding)}
    yield {**shared, **by_emissions(case, Encoding("float16", 4))}


def line(row: measure.Row) -> List[str]:
    kept = row["precision"] + (f", top {row['top']}" if row["top"] else "")
    return [
        kept + (f", by {row['by']}" if "by" in row else ""),
        f"{row['bytes']:.1f}" if "bytes" in row else "",
        f"{row['kl_marginals']:.1e}",
        f"{row['kl_marginals_worst']:.1e}",
        f"{row['kl_sequences']:.1e}",
        f"{row['best_labels_changed']:.3%}",
        f"{row['posterior']:.4%}",
        f"{row['structural']:.4%}",
    ]


def tables(all_rows: Sequence[measure.Row]) -> str:
    header = ["kept", "bytes a token", "KL of marginals", "its worst"]
    header += ["KL of sequences", "best labels changed", "posterior loss", "structural loss"]
    result = []
    for name in dict.fromkeys(row["case"] for row in all_rows):
        own = [row for row in all_rows if row["case"] == name]
        first = own[0]
        result.append(
            f"{name}: {first['sentences']:,} sentences, {first['tokens']:,} tokens; posterior loss "
            f"{first['posterior_full']:.2f}, structural loss {first['structural_full']:.2f} a "
            "sentence with all scores"
        )
        result.append(measure.table(header, [line(row) for row in own]))
    return "\n\n".join(result) + "\n"


def main() -> None:
    parser = measure.parser(__doc__, "store", rounds=1)
    parser.add_argument(
        "--case",
        nargs=4,
        action="append",
        required=True,
        metavar=("NAME", "TEACHER", "STUDENT", "DATA"),
    )
    parser.add_argument("--sentences", type=measure.positive, default=2000, help="of a case")
    args = measure.parse(parser)
    environment = measure.environment(args.threads)
    all_rows: List[measure.Row] = []
    for case in args.case:
        measure.note(case[0])
        all_rows += rows(made(args.sentences, *case))
    print(tables(all_rows))
    measure.write(Path(args.output), "store", environment, rows=all_rows)


if __name__ == "__main__":
    main()
