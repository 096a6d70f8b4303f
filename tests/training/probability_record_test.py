"""What is recorded of each sentence, against the enumeration of all label sequences."""

from collections import defaultdict

import numpy as np
import pytest
import torch

from structkd_allennlp.data.tag_schemes import entity_spans
from structkd_allennlp.modules.linear_chain import LinearChain
from structkd_allennlp.training.calibration import brier_scores
from structkd_allennlp.training.probability_record import (
    DEPTH,
    UNIT,
    ProbabilityRecorder,
    read_records,
    write_records,
)
from tests.modules.enumeration import Enumerated
from tests.modules.potentials import potentials

LABELS = ["O", "B-A", "I-A", "B-B"]
GOLD = [
    ["O", "B-A", "I-A", "O"],
    ["B-A"],
    None,
    ["B-B", "O", "I-A"],  # I-A starts an entity here.
    ["O", "B-C", "O"],  # A type that the tagger lacks.
    ["O", "O"],
]
LENGTHS = [4, 1, 2, 3, 3, 2]


def made(seed, forbid=0.0):
    p = potentials(seed, LENGTHS, len(LABELS), False, True, forbid=forbid)
    arguments = p["emissions"], p["transitions"], p["mask"], p["start"], p["end"]
    chain = LinearChain(*arguments)
    return chain, Enumerated(*arguments)


def recorded(chain, gold=GOLD, spans=True):
    recorder = ProbabilityRecorder(LABELS, spans)
    recorder(chain, chain.k_best(DEPTH), gold)
    return recorder.record()


def split(values, sizes):
    return np.split(values, np.cumsum(sizes)[:-1])


@pytest.mark.parametrize("forbid", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_enumeration(seed, forbid):
    chain, twin = made(seed, forbid)
    record = recorded(chain)
    labelled = [b for b, tags in enumerate(GOLD) if tags is not None]
    assert record.tokens.tolist() == [LENGTHS[b] for b in labelled]
    probabilities = split(record.token_probability * UNIT, record.tokens)
    right = split(record.token_correct, record.tokens)
    entities = [
        list(zip(*arrays, strict=True))
        for arrays in zip(
            *(
                split(values, record.entities)
                for values in (
                    record.entity_probability * UNIT,
                    record.entity_predicted,
                    record.entity_gold,
                )
            ),
            strict=True,
        )
    ]
    for i, b in enumerate(labelled):
        log_probs = {path: p.item() for path, p in twin.log_probs(b).items() if p.item() > -1e9}
        ranking = sorted(log_probs, key=log_probs.__getitem__, reverse=True)
        best = ranking[0]
        gold = tuple(LABELS.index(tag) if tag in LABELS else -1 for tag in GOLD[b])
        assert record.gold_nll[i] == pytest.approx(-log_probs.get(gold, -np.inf), rel=1e-5)
        assert record.predicted_nll[i] == pytest.approx(-log_probs[best], rel=1e-5)
        place = ranking.index(gold) + 1 if gold in ranking else 0
        assert record.gold_rank[i] == (place if place <= DEPTH else 0)

        marginals = twin.marginals[b, : len(gold)].numpy()
        expected = brier_scores(marginals, np.array(gold)).sum()
        assert record.brier[i] == pytest.approx(expected, rel=1e-5)
        own = marginals[range(len(best)), best]
        assert probabilities[i] == pytest.approx(own, abs=UNIT)
        assert right[i].tolist() == [x == y for x, y in zip(best, gold, strict=True)]

        chances = defaultdict(float)
        for path, log_p in log_probs.items():
            for span in entity_spans([LABELS[y] for y in path]):
                chances[span] += np.exp(log_p)
        predicted = set(entity_spans([LABELS[y] for y in best]))
        wanted = set(entity_spans(GOLD[b]))
        expected_entities = [
            (pytest.approx(chances[span], abs=UNIT), span in predicted, span in wanted)
            for span in sorted(predicted | wanted)
        ]
        assert entities[i] == expected_entities


def test_ranks_of_all_places():
    """Every label sequence of a sentence as the gold sequence once."""
    torch.manual_seed(0)
    chain = LinearChain(torch.randn(1, 2, 4), torch.randn(4, 4), torch.ones(1, 2).bool())
    paths = chain.k_best(16).paths[0].tolist()
    recorder = ProbabilityRecorder(LABELS, spans=False)
    for path in paths:
        recorder(chain, chain.k_best(DEPTH), [[LABELS[y] for y in path]])
    record = recorder.record()
    assert record.gold_rank.tolist() == [*range(1, 11), *[0] * 6]
    assert (np.diff(record.gold_nll) >= 0).all()


def test_an_impossible_gold_sequence():
    transitions = torch.zeros(4, 4)
    transitions[0, 2] = -torch.inf
    chain = LinearChain(torch.zeros(1, 2, 4), transitions, torch.ones(1, 2).bool())
    record = recorded(chain, [["O", "I-A"]])
    assert np.isinf(record.gold_nll).all()
    assert record.gold_rank.tolist() == [0]


def test_parts_of_speech():
    chain, _ = made(0)
    record = recorded(chain, spans=False)
    assert record.entities.tolist() == [0] * 5
    assert len(record.entity_probability) == len(record.entity_gold) == 0


def test_a_file(tmp_path):
    path = tmp_path / "probabilities.npz"
    empty = ProbabilityRecorder(LABELS, spans=True).record()
    records = {"en": recorded(made(0)[0]), "a/b": recorded(made(1)[0]), "none": empty}
    write_records(path, records)
    read = read_records(path)
    assert list(read) == list(records)
    for language, record in records.items():
        for name, array in record._asdict().items():
            other = getattr(read[language], name)
            assert (other == array).all()
            assert other.dtype == array.dtype
    first = path.read_bytes()
    write_records(path, records)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "probabilities.npz"
    for content in (b"", b"PK\x03\x04", b"{}"):
        path.write_bytes(content)
        with pytest.raises((OSError, ValueError)):
            read_records(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(1))
    with pytest.raises(ValueError, match="is not a record"):
        read_records(path)
    write_records(path, {"en": recorded(made(0)[0])})
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a record"):
        read_records(path)
    with path.open("wb") as file:
        np.savez(file, **{"gold_nll/en": np.zeros(1)})
    with pytest.raises(ValueError, match="is not a record"):
        read_records(path)
