"""Batches in which some sentences have labels and some have none."""

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.data import Batch, DatasetReader, Token, Vocabulary
from allennlp.models import Model

from structkd_allennlp.data.dataset_readers import MultilingualReader
from structkd_allennlp.data.fields.tag_sequence_field import UNLABELLED, UNLABELLED_TAG
from structkd_allennlp.data.sentences import TaggedSentence
from structkd_allennlp.modules.tagger_chain import emission_scores
from tests.models.structured_crf_tagger_test import INSTANCES, READER, tagger, tensors

CONFIG = "training_configs/posterior_kd.jsonnet"
TRAIN = "fixtures/conll/{language}/train.txt"


def unlabelled(reader, words, language="en"):
    """The instance that a reader makes of a sentence without labels."""
    instance = reader.instance(TaggedSentence([Token(word) for word in words], None, language))
    assert set(instance["tags"].labels) == {UNLABELLED}
    reader.apply_token_indexers(instance)
    return instance


# One is longer than all with labels, one shorter than most.
TEXT = [
    unlabelled(READER, ["Bob", "met", "New", "York", "and", "Ada", "met"]),
    unlabelled(READER, ["York"]),
]
MIXED = [TEXT[0], INSTANCES[0], INSTANCES[1], TEXT[1], INSTANCES[2]]


def step(model, batch):
    """The loss and its gradients."""
    model.zero_grad()
    loss = model(**batch)["loss"]
    loss.backward()
    gradients = {
        name: torch.zeros(()) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    return loss.detach(), gradients


def assert_same_step(actual, expected):
    torch.testing.assert_close(actual[0], expected[0], rtol=1e-5, atol=1e-5)
    assert any(gradient.any() for gradient in expected[1].values())
    for name, gradient in expected[1].items():
        torch.testing.assert_close(actual[1][name], gradient, rtol=1e-4, atol=1e-5, msg=name)


WEIGHTS = {"label_weights": {"O": 0.3, "B-PER": 2.0}}
taggers = pytest.mark.parametrize(
    "options",
    [
        {},
        {"constrain_crf": True},
        {"include_start_end_transitions": False},
        {"ignore_loss_on_o_tags": True},
        WEIGHTS,
        {**WEIGHTS, "weight_strategy": "emission_transition"},
        {**WEIGHTS, "constrain_crf": True},
        {**WEIGHTS, "weight_strategy": "emission_transition", "constrain_crf": True},
    ],
    ids=str,
)


@taggers
@pytest.mark.parametrize("training", [True, False])
def test_a_tagger_learns_nothing_from_unlabelled_sentences(options, training):
    model = tagger(decode_in_training=True, **options).train(training)
    model.get_metrics(reset=True)
    expected = step(model, tensors(INSTANCES))
    metrics = model.get_metrics(reset=True)
    assert 0 < expected[0] < 100
    assert_same_step(step(model, tensors(MIXED)), expected)
    assert model.get_metrics(reset=True) == metrics
    assert {"accuracy", "accuracy/en", "f1-measure/en"} <= set(metrics)
    # What a tagger says of these sentences is there all the same.
    output = model(**tensors(MIXED))
    assert [len(tags) for tags in output["tags"]] == [7, 6, 1, 1, 3]


@taggers
@pytest.mark.parametrize("training", [True, False])
def test_a_batch_without_any_label(options, training):
    model = tagger(decode_in_training=True, **options).train(training)
    model(**tensors(INSTANCES))
    metrics = model.get_metrics()
    batch = tensors(TEXT)
    assert (batch["tags"][:, 0] == UNLABELLED_TAG).all()
    loss, gradients = step(model, batch)
    assert loss == 0
    assert all((gradient == 0).all() for gradient in gradients.values())
    assert model.get_metrics() == metrics


@taggers
def test_the_likelihood_of_no_tags_is_one(options):
    model = tagger(**options)
    batch = tensors(MIXED)
    logits, mask = emission_scores(model, batch["tokens"])
    chain = model.chain(logits, mask)
    losses = model.nll(chain, batch["tags"])
    assert (losses == 0).tolist() == [True, False, False, True, False]


def test_metrics_of_no_sentence_at_all():
    model = tagger().eval()
    model(**tensors(TEXT))
    assert all(value == 0 for value in model.get_metrics().values())


def test_unlabelled_sentences_without_metadata():
    """Gold tags then come from the vocabulary, which has no index like theirs."""
    model = tagger().eval()
    model(**tensors(INSTANCES))
    expected = model.get_metrics(reset=True)["accuracy"]
    batch = tensors(MIXED)
    del batch["metadata"]
    model(**batch)
    assert model.get_metrics()["accuracy"] == expected


@pytest.fixture(scope="module")
def corpus():
    """Labelled and unlabelled sentences of both languages, and the vocabulary of the fixtures."""
    config = Params.from_file(CONFIG)
    reader = DatasetReader.from_params(config["dataset_reader"])
    assert isinstance(reader, MultilingualReader)
    instances = list(reader.read(TRAIN))
    texts = {"en": ["Maria Lopes lives in New York , they say .", "Madrid"], "es": ["No sé qué ."]}
    mixed = instances[:5]
    for language, lines in texts.items():
        for line in lines:
            instance = unlabelled(reader._any_reader(language), line.split(), language)
            mixed.insert(len(mixed) // 2, instance)
    assert [UNLABELLED in instance["tags"].labels for instance in mixed] == (
        [False] * 2 + [True] * 3 + [False] * 3
    )
    return Vocabulary.from_instances(instances), mixed


def student_of(vocab, weight, objective=None, **student):
    params = Params.from_file(CONFIG)["model"].as_dict(quiet=True)
    params["interpolation"] = {"type": "constant", "value": weight}
    params["objective"] = objective or params["objective"]
    params["student"].update(dropout=0.0, **student)
    torch.manual_seed(5)
    return Model.from_params(vocab=vocab, params=Params(params))


def batch_of(vocab, instances):
    batch = Batch(instances)
    batch.index_instances(vocab)
    return batch.as_tensor_dict()


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"constrain_crf": False},
        {"label_weights": {"O": 0.3}, "weight_strategy": "emission_transition"},
        {"objective": {"type": "structural", "reduction": "mean"}},
    ],
    ids=str,
)
def test_the_loss_is_the_mean_of_what_each_sentence_has(corpus, weight, options):
    vocab, mixed = corpus
    model = student_of(vocab, weight, **options)
    model.zero_grad()
    losses, distillation, nll = [], [], []
    for instance in mixed:
        batch = batch_of(vocab, [instance])
        labelled = UNLABELLED not in instance["tags"].labels
        own = model.student(**batch)["loss"] if labelled else torch.zeros(())
        if labelled:
            nll.append(own.item())
        # Without any tags the loss is that of distillation alone.
        del batch["tags"]
        distilled = model(**batch)["loss"]
        distillation.append(distilled.item())
        own_weight = weight if labelled else 1.0
        losses.append(own_weight * distilled + (1 - own_weight) * own)
    assert min(distillation) > 0
    expected = torch.stack(losses).mean()
    expected.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    model.get_metrics(reset=True)
    assert_same_step(step(model, batch_of(vocab, mixed)), (expected.detach(), gradients))
    metrics = model.get_metrics(reset=True)
    assert metrics["lambda"] == weight
    assert metrics["distillation_loss"] == pytest.approx(sum(distillation) / 8, rel=1e-4)
    assert metrics["nll_loss"] == pytest.approx(sum(nll) / 5, rel=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_a_batch_of_unlabelled_sentences_is_distilled_alone(corpus, weight):
    vocab, mixed = corpus
    batch = batch_of(vocab, [x for x in mixed if UNLABELLED in x["tags"].labels])
    model = student_of(vocab, weight)
    loss, gradients = step(model, batch)
    metrics = model.get_metrics(reset=True)
    del batch["tags"]
    assert_same_step((loss, gradients), step(model, batch))
    assert loss > 0
    assert metrics["lambda"] == 1.0
    assert metrics["nll_loss"] == 0
    assert metrics["distillation_loss"] == pytest.approx(loss.item())


def test_evaluation_passes_over_unlabelled_sentences(corpus):
    vocab, mixed = corpus
    model = student_of(vocab, 0.3).eval()
    labelled = [x for x in mixed if UNLABELLED not in x["tags"].labels]
    expected = model(**batch_of(vocab, labelled))["loss"]
    metrics = model.get_metrics(reset=True)
    torch.testing.assert_close(model(**batch_of(vocab, mixed))["loss"], expected)
    assert model.get_metrics(reset=True) == metrics


def test_trains_on_labelled_and_unlabelled_text(tmp_path):
    text = {"en": "Maria Lopes lives in Zanzibar .\nShe does .\n\n", "es": "Vive en Zaragoza .\n"}
    for language, lines in text.items():
        (tmp_path / f"{language}.txt").write_text(lines * 5, encoding="utf-8")
    paths = {language: str(tmp_path / f"{language}.txt") for language in text}
    lengths = []

    def train(name, path):
        overrides = {"trainer.num_epochs": 1, "train_data_path": path}
        model = train_model(Params.from_file(CONFIG, overrides), str(tmp_path / name))
        lengths.append(model.vocab.get_vocab_size("labels"))
        known = model.vocab.get_token_to_index_vocabulary("tokens")
        metrics = Params.from_file(tmp_path / name / "metrics.json")
        assert metrics["training_loss"] > 0
        return metrics, {"Zanzibar", "Zaragoza"} <= set(known)

    plain, knows = train("plain", [TRAIN])
    assert not knows
    mixed, knows = train("mixed", [TRAIN, {"unlabelled": paths}])
    assert knows
    # No label comes in, and the 15 sentences make 14 steps of 12.
    assert lengths[0] == lengths[1]
    for steps, metrics in ((12, plain), (14, mixed)):
        assert metrics["training_lambda"] == pytest.approx(1 - (steps - 1) / (2 * steps) / 40)
    assert mixed["best_validation_f1-measure/macro"] >= 0
    assert (tmp_path / "mixed" / "model.tar.gz").exists()
