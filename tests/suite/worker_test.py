"""What a run of a suite leaves: counts by sentence, and how training went."""

import numpy as np
import pytest

from structkd_allennlp.suite.jobs import Entry, TrainJob
from structkd_allennlp.suite.worker import evaluate, repeated_tests
from structkd_allennlp.training.probability_record import UNIT
from tests.distillation.taggers import LABELS, READER, archived


def test_how_many_test_sentences_are_in_the_training_data(tmp_path):
    for name, text in {"en": "a O\n\nb O\n", "es": "c O\n", "pt": "a O\n\nd O\n\na O\n"}.items():
        (tmp_path / name).write_text(text)
    paths = {name: str(tmp_path / name) for name in ("en", "es", "pt")}
    reader = {"type": "multilingual", "languages": ["en", "es"], "reader": "structkd_conll"}

    def job(config, *tests):
        entry = Entry("student", "", "", None)
        own = {name: paths[name] for name in tests}
        return TrainJob(entry, "", config, own, "f1-measure", "", [])

    train = {"en": paths["en"], "es": paths["es"]}
    config = {"dataset_reader": reader, "train_data_path": train}
    assert repeated_tests(job(config, "es", "pt")) == {"es": (1, 1), "pt": (2, 3)}
    config = {"dataset_reader": {"type": "structkd_conll"}, "train_data_path": paths["pt"]}
    assert repeated_tests(job(config, "en")) == {"en": (1, 2)}
    config = {"dataset_reader": {"type": "conll2003"}, "train_data_path": paths["pt"]}
    assert repeated_tests(job(config, "en")) == {}


@pytest.mark.parametrize("type_", ["structured_crf_tagger", "simple_tagger", "crf_tagger"])
def test_probabilities_of_sentences(tmp_path, type_):
    """A softmax tagger is a chain without transitions. Those of AllenNLP's CRF are not recorded."""
    encoding = {} if type_ == "simple_tagger" else {"label_encoding": "BIO"}
    directory = tmp_path / "m"
    archived(directory, LABELS, READER, type_, **encoding)
    test = tmp_path / "test.txt"
    lines = ["Ada B-PER\nmet O\nBob B-PER", "New B-LOC\nYork I-LOC", "Rex B-DOG"]
    test.write_text("\n\n".join(lines) + "\n")
    counts, records = evaluate(directory, {"en": str(test)}, "f1-measure")
    if type_ == "crf_tagger":
        assert records == {}
        return
    record = records["en"]
    for metric in ("f1-measure", "accuracy"):
        own, found = evaluate(directory, {"en": str(test)}, metric)
        assert found["en"].tokens.tolist() == [3, 2, 1]
        if metric == "accuracy":
            correct = [sum(x) for x in np.split(found["en"].token_correct, [3, 5])]
            assert [x for x, _ in own["en"]] == correct
            assert found["en"].entities.tolist() == [0, 0, 0]
    # The entities that are predicted, gold and both are those that are counted.
    predicted, gold = record.entity_predicted, record.entity_gold
    for i, where in enumerate(np.split(np.arange(len(gold)), np.cumsum(record.entities)[:-1])):
        sums = [x[where].sum() for x in (predicted & gold, predicted, gold)]
        assert counts["en"][i] == sums
    assert np.isfinite(record.gold_nll).tolist() == [True, True, False]
    assert ((record.gold_rank > 0) <= np.isfinite(record.gold_nll)).all()
    assert (record.gold_nll >= record.predicted_nll - 1e-5).all()
    if type_ == "simple_tagger":
        probability = np.exp(-record.predicted_nll)
        tokens = np.split(record.token_probability * UNIT, [3, 5])
        assert probability == pytest.approx([x.prod() for x in tokens], rel=1e-3)
