"""The tagger against AllenNLP's own, and against enumeration."""

import copy
import itertools

import numpy
import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import Batch, Vocabulary
from allennlp.models import Model
from allennlp_models.tagging.models.crf_tagger import CrfTagger

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.data.dataset_readers import ConllReader
from structkd_allennlp.data.fields.tag_sequence_field import UNKNOWN_TAG
from structkd_allennlp.data.tag_schemes import entity_spans
from structkd_allennlp.models.structured_crf_tagger import StructuredCrfTagger
from structkd_allennlp.modules.tagger_chain import constraints_of, emission_scores
from structkd_allennlp.training.finite import NotFiniteError

SENTENCES = [
    ("Ada met Bob in New York", "B-PER O B-PER O B-LOC I-LOC"),
    ("Ada", "B-PER"),
    ("New York grew", "B-LOC I-LOC O"),
]
READER = ConllReader(label_encoding="BIO", language="en")
INSTANCES = [READER.text_to_instance(w.split(), t.split()) for w, t in SENTENCES]
for _instance in INSTANCES:
    READER.apply_token_indexers(_instance)
VOCAB = Vocabulary.from_instances(INSTANCES)


def tagger(type_="structured_crf_tagger", seed=0, **params) -> CrfTagger:
    torch.manual_seed(seed)
    return Model.from_params(
        vocab=VOCAB,
        params=Params(
            {
                "type": type_,
                "text_field_embedder": {
                    "token_embedders": {"tokens": {"type": "embedding", "embedding_dim": 5}}
                },
                "encoder": {"type": "pass_through", "input_dim": 5},
                "label_encoding": "BIO",
                **copy.deepcopy(params),
            }
        ),
    )


def tensors(instances=INSTANCES, vocab=VOCAB):
    batch = Batch(instances)
    batch.index_instances(vocab)
    return batch.as_tensor_dict()


@pytest.mark.parametrize(
    "encoder",
    [
        {"type": "lstm", "hidden_size": 3},
        {"type": "lstm", "hidden_size": 3, "input_size": 5},
        {"type": "pass_through"},
        "pass_through",
    ],
)
def test_an_encoder_finds_its_input_size(encoder):
    model = tagger(encoder=encoder)
    assert model.encoder.get_input_dim() == 5
    assert torch.isfinite(model(**tensors())["loss"])


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"type": "lstm"}, "hidden_size"),
        ({"type": "lstm", "hidden_size": 3, "input_size": 9}, "5 and 9"),
        ({"type": "no_encoder"}, "no_encoder not in acceptable choices for encoder.type"),
    ],
)
def test_encoders_that_are_refused(encoder, message):
    with pytest.raises(ConfigurationError, match=message):
        tagger(encoder=encoder)


class TestStructuredCrfTagger(ModelTestCase):
    def setup_method(self):
        super().setup_method()
        self.set_up_model(
            "training_configs/baseline.jsonnet", "fixtures/conll/{language}/dev.txt", seed=1
        )

    def test_trains_saves_and_loads(self):
        self.ensure_model_can_train_save_and_load(
            self.param_file, overrides={"trainer.num_epochs": 1}, tolerance=1e-5
        )

    def test_predictions_do_not_depend_on_the_batch(self):
        self.model.eval()
        single = [self.model.forward_on_instance(instance) for instance in self.instances[:8]]
        together = self.model.forward_on_instances(self.instances[:8])
        for one, other in zip(single, together, strict=True):
            assert one["tags"] == other["tags"]
            numpy.testing.assert_allclose(
                one["tag_probabilities"], other["tag_probabilities"], atol=1e-5
            )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"include_start_end_transitions": False},
        {"constrain_crf_decoding": False},
        {"label_encoding": None},
        {"feedforward": {"input_dim": 5, "num_layers": 1, "hidden_dims": 4, "activations": "relu"}},
        {"label_weights": {"O": 0.3, "B-PER": 2.0}},
        {"label_weights": {"O": 0.3}, "weight_strategy": "emission_transition"},
        {"dropout": 0.5},
        {"top_k": 3},
        {"initializer": {"regexes": [[".*transitions", {"type": "constant", "val": 0.3}]]}},
    ],
    ids=str,
)
def test_options_of_the_parent_mean_what_they_mean_there(options):
    ours, theirs = tagger(**options), tagger("crf_tagger", **options)
    theirs.load_state_dict(ours.state_dict())
    if "initializer" in options:
        assert (ours.crf.transitions == 0.3).all()
    ours.eval()
    theirs.eval()
    batch = tensors()
    mine, parents = ours(**batch), theirs(**batch)
    # The parent sums over the sentences of the batch.
    torch.testing.assert_close(mine["loss"], parents["loss"] / len(INSTANCES))
    assert mine["tags"] == parents["tags"]
    if options.get("top_k"):
        for b, n in enumerate([6, 1, 3]):
            paths = mine["top_k_paths"][b, :, :n].tolist()
            scores = mine["top_k_scores"][b].tolist()
            legal = [(p, s) for p, s in parents["top_k_tags"][b] if s > -1000]
            assert paths[: len(legal)] == [path for path, _ in legal]
            assert scores[: len(legal)] == pytest.approx([float(s) for _, s in legal], abs=1e-4)


def test_loads_weights_of_the_parent():
    ours = tagger(seed=1)
    ours.load_state_dict(tagger("crf_tagger", seed=2).state_dict())


def test_a_weighting_that_is_no_distribution_is_refused():
    with pytest.raises(ConfigurationError, match="no distribution"):
        tagger(label_weights={"O": 0.3}, weight_strategy="lannoy")


def test_constrain_crf_needs_an_encoding():
    with pytest.raises(ConfigurationError, match="label_encoding"):
        tagger(label_encoding=None, constrain_crf=True)


def legal_paths(model, n):
    no_step, no_start, no_end = (x.isneginf() for x in constraints_of(model))
    for path in itertools.product(range(model.num_tags), repeat=n):
        steps = itertools.pairwise(path)
        if not (no_start[path[0]] or no_end[path[-1]] or any(no_step[a, b] for a, b in steps)):
            yield path


@pytest.mark.parametrize("constrained", [True, False])
def test_constraints_hold_in_loss_marginals_and_decoding_alike(constrained):
    model = tagger(constrain_crf=constrained, marginals=True, top_k=200).eval()
    batch = tensors(INSTANCES[2:])
    output = model(**batch)
    logits = output["logits"][0]
    start, end = model.crf.start_transitions, model.crf.end_transitions
    everything = list(itertools.product(range(model.num_tags), repeat=3))
    legal = list(legal_paths(model, 3))
    assert 0 < len(legal) < len(everything)

    scores = {}
    for path in everything:
        steps = sum(model.crf.transitions[a, b] for a, b in itertools.pairwise(path))
        emissions = sum(logits[i, y] for i, y in enumerate(path))
        scores[path] = emissions + steps + start[path[0]] + end[path[-1]]
    support = legal if constrained else everything
    log_z = torch.stack([scores[p] for p in support]).logsumexp(0)
    gold = tuple(batch["tags"][0].tolist())
    torch.testing.assert_close(output["loss"], log_z - scores[gold])
    marginals = torch.zeros(3, model.num_tags)
    for path in support:
        for i, y in enumerate(path):
            marginals[i, y] += (scores[path] - log_z).exp().item()
    torch.testing.assert_close(output["marginals"][0], marginals)
    # Decoding is constrained in either case: constrain_crf_decoding follows from the encoding.
    ranked = sorted(legal, key=lambda p: -scores[p])
    found = output["top_k_paths"][0][output["top_k_scores"][0] > -torch.inf]
    assert [tuple(p) for p in found.tolist()] == ranked

    readable = model.make_output_human_readable(output)
    probabilities = [path["probability"] for path in readable["top_k"][0]]
    assert probabilities == pytest.approx([(scores[p] - log_z).exp().item() for p in ranked])
    if constrained:
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-5)
    for entity in readable["entities"][0]:
        span = (entity["label"], entity["start"], entity["end"])
        names = [[model.labels[y] for y in p] for p in support]
        expected = sum(
            (scores[p] - log_z).exp().item()
            for p, tags in zip(support, names, strict=True)
            if span in entity_spans(tags)
        )
        assert entity["probability"] == pytest.approx(expected, abs=1e-5)


def test_human_readable_output():
    model = tagger(constrain_crf=True, marginals=True).eval()
    outputs = model.forward_on_instances(INSTANCES)
    for output, (words, _) in zip(outputs, SENTENCES, strict=True):
        n = len(words.split())
        assert output["words"] == words.split()
        assert len(output["tags"]) == len(output["tag_probabilities"]) == n
        for tag, probability, row in zip(
            output["tags"], output["tag_probabilities"], output["marginals"], strict=True
        ):
            assert list(row) == model.labels
            assert sum(row.values()) == pytest.approx(1.0, abs=1e-5)
            assert row[tag] == pytest.approx(probability)
        spans = [(e["label"], e["start"], e["end"]) for e in output["entities"]]
        assert spans == entity_spans(output["tags"])
        assert len(output["top_k"]) == 1
        assert output["top_k"][0]["tags"] == output["tags"]


def test_one_chain_serves_a_prediction(monkeypatch):
    model = tagger(marginals=True, constrain_crf=True).eval()
    made = []
    monkeypatch.setattr(
        StructuredCrfTagger,
        "chain",
        lambda *given, chain=StructuredCrfTagger.chain: made.append(chain(*given)) or made[-1],
    )
    expected = model.make_output_human_readable(dict(model(**tensors())))
    assert len(made) == 2
    assert model.make_output_human_readable(model(**tensors()))["top_k"] == expected["top_k"]
    assert len(made) == 3


def test_does_not_decode_in_training_unless_asked(monkeypatch):
    from structkd_allennlp.modules.linear_chain import LinearChain

    def no_decoding(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(LinearChain, "k_best", no_decoding)
    model = tagger(constrain_crf=True)
    output = model(**tensors())
    assert "tags" not in output
    assert model.get_metrics(reset=True) == {}
    output["loss"].backward()
    assert torch.isfinite(model.crf.transitions.grad).all()
    with pytest.raises(AssertionError, match="decoded"):
        tagger(decode_in_training=True)(**tensors())
    monkeypatch.undo()
    model = tagger(decode_in_training=True)
    assert "tags" in model(**tensors())
    assert 0 <= model.get_metrics()["accuracy"] <= 1


def test_ignoring_o_tags_sums_over_what_they_could_be():
    model = tagger().eval()
    batch = tensors(INSTANCES[2:])
    logits, mask = emission_scores(model, batch["tokens"])
    chain = model.chain(logits, mask)
    gold = batch["tags"][0].tolist()
    paths = [[*gold[:2], label] for label in range(model.num_tags)]
    log_probs = chain.log_prob(torch.tensor([paths]))[0]
    loss = model(**batch, ignore_loss_on_o_tags=True)["loss"]
    torch.testing.assert_close(loss, -log_probs.logsumexp(0))
    torch.testing.assert_close(tagger(ignore_loss_on_o_tags=True).eval()(**batch)["loss"], loss)


def unknown_tag_batch():
    instance = READER.text_to_instance(["New", "York", "grew"], ["B-LOC", "I-LOC", "B-EVENT"])
    READER.apply_token_indexers(instance)
    return tensors([*INSTANCES[:1], instance])


def test_unknown_labels_are_errors_in_training():
    model = tagger()
    batch = unknown_tag_batch()
    assert (batch["tags"] == UNKNOWN_TAG).sum() == 1
    with pytest.raises(ConfigurationError, match=r"vocabulary lacks: \['B-EVENT'\]"):
        model(**batch)


@pytest.mark.parametrize("constrained", [True, False])
def test_unknown_labels_count_as_errors_in_evaluation(constrained):
    model = tagger(constrain_crf=constrained).eval()
    output = model(**unknown_tag_batch())
    assert torch.isfinite(output["loss"])
    metrics = model.get_metrics()
    # Whatever is predicted, the unknown label is not; it is one of nine tokens.
    predicted = [[model.labels[y] for y in path] for path in output["tags"]]
    gold = [SENTENCES[0][1].split(), ["B-LOC", "I-LOC", "B-EVENT"]]
    right = sum(
        p == g for a, b in zip(predicted, gold, strict=True) for p, g in zip(a, b, strict=True)
    )
    assert metrics["accuracy"] == right / 9
    assert metrics["accuracy/en"] == right / 9


def forbidden_batch():
    instance = READER.text_to_instance(["New", "York"], ["O", "I-LOC"])
    READER.apply_token_indexers(instance)
    return tensors([*INSTANCES[:1], instance])


def test_tags_that_the_constraints_forbid():
    model = tagger(constrain_crf=True)
    with pytest.raises(ConfigurationError, match=r"\['O', 'I-LOC'\].*\['New', 'York'\].*BIO"):
        model(**forbidden_batch())
    model.eval()
    # In evaluation the sentence has no likelihood, so the others' mean is the loss.
    loss = model(**forbidden_batch())["loss"]
    torch.testing.assert_close(loss, model(**tensors(INSTANCES[:1]))["loss"])
    assert torch.isfinite(tagger()(**forbidden_batch())["loss"])


def test_a_loss_of_nan_is_no_matter_of_tags():
    model = tagger()
    with torch.no_grad():
        model.crf.transitions[0, 0] = torch.nan
    with pytest.raises(
        NotFiniteError, match=r'likelihood of sentence 1 .en: "Ada met .*"\) is nan'
    ):
        model(**tensors())


def test_metrics_without_metadata_use_the_vocabulary():
    model = tagger().eval()
    batch = tensors()
    metadata = batch.pop("metadata")
    model(**batch)
    without = model.get_metrics(reset=True)
    model(**batch, metadata=metadata)
    with_metadata = model.get_metrics(reset=True)
    assert without["f1-measure-overall"] == with_metadata["f1-measure-overall"]
    assert without["accuracy"] == with_metadata["accuracy"]


def test_is_registered():
    assert Model.by_name("structured_crf_tagger") is StructuredCrfTagger
    assert StructuredCrfTagger.default_predictor == "structured_tagger"
