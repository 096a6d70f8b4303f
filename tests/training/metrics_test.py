"""The metrics against seqeval, against conlleval's rules, and across workers."""

import random
import warnings

import numpy as np
import pytest
import seqeval.metrics
import torch
from allennlp.common.testing import run_distributed_test

from structkd_allennlp.training.metrics import (
    Means,
    MultilingualTaggingMetrics,
    score,
    sentence_counts,
)

TAGS = ["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def random_corpus(seed, sentences=60):
    rng = random.Random(seed)
    gold, predicted, languages = [], [], []
    for _ in range(sentences):
        n = rng.randint(1, 8)
        tags = [rng.choice(TAGS) for _ in range(n)]
        gold.append(tags)
        predicted.append([t if rng.random() < 0.7 else rng.choice(TAGS) for t in tags])
        languages.append(rng.choice(["en", "de", "fr"]))
    return predicted, gold, languages


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_seqeval(seed):
    predicted, gold, languages = random_corpus(seed)
    metric = MultilingualTaggingMetrics(verbose=True)
    for start in range(0, len(gold), 7):
        batch = slice(start, start + 7)
        metric(predicted[batch], gold[batch], languages[batch])
    figures = metric.get_metric()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_language = []
        for language in ["en", "de", "fr", None]:
            rows = [i for i, x in enumerate(languages) if language in (None, x)]
            y_true, y_pred = [gold[i] for i in rows], [predicted[i] for i in rows]
            end = f"/{language}" if language else "-overall"
            f1 = seqeval.metrics.f1_score(y_true, y_pred)
            by_language.append(f1)
            assert figures["f1-measure" + end] == pytest.approx(f1)
            assert figures["precision" + end] == pytest.approx(
                seqeval.metrics.precision_score(y_true, y_pred)
            )
            assert figures["recall" + end] == pytest.approx(
                seqeval.metrics.recall_score(y_true, y_pred)
            )
            accuracy = figures["accuracy" + (end if language else "")]
            assert accuracy == pytest.approx(seqeval.metrics.accuracy_score(y_true, y_pred))
        report = seqeval.metrics.classification_report(gold, predicted, output_dict=True)
    assert figures["f1-measure/macro"] == pytest.approx(sum(by_language[:3]) / 3)
    for type_ in ("PER", "LOC"):
        assert figures[f"f1-measure-{type_}"] == pytest.approx(report[type_]["f1-score"])


def test_figures_are_those_of_conlleval():
    """Worked by hand with conlleval's rules: an I- after O starts a chunk."""
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "I-ORG", "I-ORG", "B-LOC"]]
    predicted = [["B-PER", "I-PER", "O", "O"], ["O", "B-ORG", "I-ORG", "I-LOC"]]
    metric = MultilingualTaggingMetrics()
    metric(predicted, gold)
    figures = metric.get_metric()
    assert figures["precision-overall"] == 1.0
    assert figures["recall-overall"] == 3 / 4
    assert figures["f1-measure-overall"] == pytest.approx(6 / 7)
    assert figures["accuracy"] == 5 / 8
    assert figures["accuracy/und"] == 5 / 8


def test_tags_without_spans():
    metric = MultilingualTaggingMetrics(spans=False, verbose=True)
    metric([["NOUN", "VERB"], ["X"]], [["NOUN", "NOUN"], ["NEVER-SEEN"]], ["en", "de"])
    figures = metric.get_metric(reset=True)
    assert figures["accuracy"] == 1 / 3
    assert (figures["accuracy/en"], figures["accuracy/de"]) == (1 / 2, 0.0)
    assert figures["accuracy/macro"] == 1 / 4
    assert figures["recall-NOUN"] == 1 / 2
    assert figures["recall-NEVER-SEEN"] == 0.0
    assert not any("f1-measure/" in name for name in figures)
    assert metric.get_metric() == {}


def test_sentences_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 predicted and 1 gold"):
        MultilingualTaggingMetrics()([["O", "O"]], [["O"]])


def worker(rank, world_size, gpu_id, corpora, expected):
    metric = MultilingualTaggingMetrics()
    metric(*corpora[rank])
    for _ in range(2):  # reading must not count anything twice
        assert metric.get_metric() == expected
    metric.get_metric(reset=True)
    # A language that only one worker has seen is known to both.
    metric([["O"]], [["O"]], [f"x{rank}"])
    assert set(metric.get_metric()) >= {"accuracy/x0", "accuracy/x1"}

    means = Means("loss", "nothing")
    if rank:
        # In a step that has nothing to count for the other.
        means("loss", 6.0, 4)
    assert means.get_metric() == {"loss": 1.5, "nothing": 0.0}
    means("loss", 3.0, 1)
    assert means.get_metric(reset=True) == {"loss": 2.0, "nothing": 0.0}
    assert means.get_metric() == {"loss": 0.0, "nothing": 0.0}


def test_workers_agree_on_the_sum():
    corpora = [random_corpus(0), random_corpus(1, sentences=17)]
    whole = MultilingualTaggingMetrics()
    for corpus in corpora:
        whole(*corpus)
    run_distributed_test([-1, -1], worker, corpora=corpora, expected=whole.get_metric())


def test_counts_are_plain_numbers():
    metric = MultilingualTaggingMetrics()
    metric([["O"]], [["O"]], ["en"])
    assert not any(isinstance(v, torch.Tensor) for v in metric.get_metric().values())


@pytest.mark.parametrize("metric", ["f1-measure", "accuracy"])
def test_counts_of_sentences_make_the_metric(metric):
    predicted, gold, _ = random_corpus(1)
    metrics = MultilingualTaggingMetrics()
    metrics(predicted, gold, ["en"] * len(gold))
    expected = metrics.get_metric()[f"{metric}/en"]
    assert 0.1 < expected < 0.9
    pairs = zip(predicted, gold, strict=True)
    counts = [sentence_counts(*pair, spans=metric == "f1-measure") for pair in pairs]
    assert score(np.sum(counts, axis=0)) == pytest.approx(expected)


def test_score():
    correct, predicted, gold = 3, 4, 9
    precision, recall = correct / predicted, correct / gold
    assert score([correct, predicted]) == precision
    expected = 2 * precision * recall / (precision + recall)
    assert score([correct, predicted, gold]) == pytest.approx(expected)
    # Nothing to find and nothing found is 0; any number of them at once.
    many = [[[0, 0, 0], [1, 1, 1]], [[0, 2, 3], [correct, predicted, gold]]]
    assert score(many) == pytest.approx(np.array([[0, 1], [0, expected]]))
    assert score([0, 0]) == 0
