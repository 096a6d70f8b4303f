"""Teachers as chains over the labels of a student."""

import shutil

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch
from allennlp.data.token_indexers import PretrainedTransformerMismatchedIndexer
from allennlp.models.archival import archive_model

from structkd_allennlp.data.dataset_readers import ConllReader
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.fill import score_missing
from structkd_allennlp.distillation.target_store import TargetStore
from structkd_allennlp.distillation.teachers import Teachers
from structkd_allennlp.modules.tagger_chain import chain_of, emission_scores
from tests.distillation.conftest import NotNeeded
from tests.distillation.taggers import LABELS, READER, SENTENCES, archived, student, tagger

CPU = torch.device("cpu")


@pytest.mark.parametrize("type_", ["structured_crf_tagger", "crf_tagger"])
@pytest.mark.parametrize("reader", [READER, {"type": "conll2000"}])
def test_labels_are_matched_by_name(tmp_path, type_, reader):
    """Whatever order the teacher has its labels in, and if it has fewer than the student."""
    own_labels = ["I-PER", "B-PER", "O"]
    archive, model = archived(tmp_path / "t", own_labels, reader, type_)
    ((chain, weights),) = Teachers(archive, student().label_space).chains(SENTENCES, CPU)
    assert weights.tolist() == [1.0, 1.0]
    assert chain.mask.tolist() == [[True] * 3, [True, True, False]]
    for b, (words, _) in enumerate(SENTENCES):
        ids = torch.tensor([[model.vocab.get_token_index(w, "tokens") for w in words]])
        output = model(tokens={"tokens": {"tokens": ids}})
        own = chain_of(model, output["logits"], output["mask"], constrained=False)
        for i, label in enumerate(LABELS):
            column = chain.marginals[b, : len(words), i]
            if label in own_labels:
                torch.testing.assert_close(column, own.marginals[0, :, own_labels.index(label)])
            else:
                assert not column.any()


def test_batches_of_several_languages(tmp_path):
    archives = {
        "en": archived(tmp_path / "en", LABELS, seed=1)[0],
        "de": [archived(tmp_path / f"de{i}", LABELS[::-1], seed=i)[0] for i in (2, 3)],
    }
    one = student()
    sentences = [
        Sentence(["Ada"], "de"),
        Sentence(["New", "York", "Ada"], "en"),
        Sentence(["Ada", "Ada"], "de"),
    ]
    first, second = Teachers(archives, one.label_space).chains(sentences, CPU)
    assert first[1].tolist() == [0.5, 1.0, 0.5]
    assert second[1].tolist() == [0.5, 0.0, 0.5]
    for rank, (chain, weights) in enumerate([first, second]):
        for row, sentence in enumerate(sentences):
            if not weights[row]:
                continue
            archive = archives["en"] if sentence.language == "en" else archives["de"][rank]
            ((alone, _),) = Teachers(archive, one.label_space).chains([sentence], CPU)
            n = len(sentence.words)
            torch.testing.assert_close(chain.marginals[row, :n], alone.marginals[0])
            torch.testing.assert_close(chain.pair_marginals[row, : n - 1], alone.pair_marginals[0])


def test_a_teacher_is_matched_once_a_device(tmp_path, monkeypatch):
    """No step computes or moves again what is the same in all of them."""
    archives = {x: archived(tmp_path / x, LABELS, seed=i)[0] for i, x in enumerate(["en", "de"])}
    sentences = [Sentence(["Ada"], "en"), Sentence(["New", "York"], "de")]
    teachers = Teachers(archives, student().label_space)
    ((expected, _),) = teachers.chains(sentences, CPU)

    def refuse(*_):
        raise AssertionError("matched again")

    monkeypatch.setattr(teachers, "_match", refuse)
    for batch in (sentences, sentences[::-1]):
        ((chain, _),) = teachers.chains(batch, CPU)
        flip = [] if batch is sentences else [0]
        torch.testing.assert_close(chain.marginals, expected.marginals.flip(flip))


def test_labels_that_the_student_lacks(tmp_path):
    archive, _ = archived(tmp_path / "t", [*LABELS, "B-EVENT"])
    with pytest.raises(ConfigurationError, match=r"t/model.tar.gz has labels.*\['B-EVENT'\]"):
        Teachers(archive, student().label_space).load(["en"])
    renormalised = Teachers(archive, student().label_space, unmatched_labels="renormalise")
    ((chain, _),) = renormalised.chains(SENTENCES, CPU)
    torch.testing.assert_close(chain.marginals.sum(-1), chain.mask.float())


def test_another_label_encoding(tmp_path):
    labels = ["O", "U-PER", "B-PER", "L-PER"]
    archive, _ = archived(tmp_path / "t", labels, label_encoding="BIOUL")
    with pytest.raises(ConfigurationError, match=r"encoding is BIOUL and the student's BIO;"):
        Teachers(archive, student().label_space).load(["en"])
    with pytest.raises(ConfigurationError, match="same label_encoding"):
        Teachers(archive, student().label_space, unmatched_labels="renormalise").load(["en"])


def test_another_task(tmp_path):
    archive, _ = archived(tmp_path / "t", ["NOUN", "VERB"])
    other = Teachers(archive, tagger(["ADJ", "ADV"])[0].label_space, unmatched_labels="renormalise")
    with pytest.raises(ConfigurationError, match="no label in common"):
        other.load(["en"])
    teachers = Teachers(archive, student().label_space, unmatched_labels="renormalise")
    with pytest.raises(ConfigurationError, match="another scheme"):
        teachers.load(["en"])


def test_a_teacher_of_word_pieces(tmp_path):
    """Its indexers, vocabulary and embedder have nothing in common with the student's."""
    transformer = {
        "type": "pretrained_transformer_mismatched",
        "model_name": "fixtures/tiny_mbert",
        "max_length": 6,
    }
    archive, model = archived(
        tmp_path / "t",
        LABELS,
        {**READER, "token_indexers": {"tokens": transformer}},
        text_field_embedder={"token_embedders": {"tokens": transformer}},
        encoder={"type": "pass_through", "input_dim": 32},
    )
    # Many pieces a word, and more of them than the transformer takes at once.
    sentences = [*SENTENCES, Sentence(["Unsegmentable", "überlange", "Wörter", "😀"] * 4, "de")]
    ((chain, _),) = Teachers(archive, student().label_space).chains(sentences, CPU)
    assert chain.lengths.tolist() == [3, 2, 16]
    torch.testing.assert_close(chain.marginals.sum(-1), chain.mask.float())
    for b, (words, language) in enumerate(sentences):
        own = ConllReader(
            language=language,
            token_indexers={
                "tokens": PretrainedTransformerMismatchedIndexer(
                    "fixtures/tiny_mbert", max_length=6
                )
            },
        )
        instance = own.text_to_instance(words)
        own.apply_token_indexers(instance)
        batch = Batch([instance])
        batch.index_instances(model.vocab)
        scores = emission_scores(model, batch.as_tensor_dict()["tokens"])
        alone = chain_of(model, *scores, constrained=False)
        torch.testing.assert_close(
            chain.marginals[b, : len(words)], alone.marginals[0], rtol=1e-4, atol=1e-5
        )


def test_a_softmax_teacher(tmp_path):
    """A simple_tagger has no transitions: its marginals are its softmax."""
    archive, model = archived(tmp_path / "t", LABELS[::-1], type_="simple_tagger")
    ((chain, _),) = Teachers(archive, student().label_space).chains(SENTENCES, CPU)
    for b, (words, _) in enumerate(SENTENCES):
        ids = torch.tensor([[model.vocab.get_token_index(w, "tokens") for w in words]])
        own = model(tokens={"tokens": {"tokens": ids}})["class_probabilities"]
        torch.testing.assert_close(chain.marginals[b, : len(words)], own[0].flip(-1))


def test_a_distilled_student_teaches(tmp_path):
    model, config = tagger(LABELS, label_encoding="BIO")
    shutil.rmtree(tmp_path / "kd", ignore_errors=True)
    (tmp_path / "kd").mkdir()
    wrapper = {
        "type": "structure_kd",
        "student": config,
        "teachers": "gone.tar.gz",
        "objective": {"type": "posterior"},
        "interpolation": {"type": "constant"},
    }
    Params({"dataset_reader": READER, "model": wrapper}).to_file(str(tmp_path / "kd/config.json"))
    model.vocab.save_to_files(str(tmp_path / "kd" / "vocabulary"))
    state = {f"student.{name}": value for name, value in model.state_dict().items()}
    torch.save(state, tmp_path / "kd" / "best.th")
    ((chain, _),) = Teachers(archive_model(tmp_path / "kd"), student().label_space).chains(
        SENTENCES, CPU
    )
    torch.testing.assert_close(chain.marginals.sum(-1), chain.mask.float())


@pytest.mark.parametrize("half", [False, True])
def test_a_warm_store_gives_what_the_teachers_give(tmp_path, no_models, half):
    archives = {
        "en": archived(tmp_path / "en", LABELS, seed=1)[0],
        "de": [archived(tmp_path / f"de{i}", LABELS[::-1], seed=i)[0] for i in (2, 3)],
    }
    sentences = [*SENTENCES, Sentence(["New"], "de"), Sentence(["Ada", "New"], "de")]
    online = Teachers(archives, student().label_space).chains(sentences, CPU)
    store = TargetStore(str(tmp_path / "s"), half_precision=half)
    stored = Teachers(archives, student().label_space, store)
    score_missing(stored.archives, sentences, CPU)
    no_models()
    stored = Teachers(archives, student().label_space, store)
    stored.load(["en", "de"])
    for (mine, weights), (theirs, their_weights) in zip(
        stored.chains(sentences, CPU), online, strict=True
    ):
        assert torch.equal(weights, their_weights)
        tolerance = {"rtol": 1e-2, "atol": 1e-2} if half else {"rtol": 1e-5, "atol": 1e-6}
        torch.testing.assert_close(mine.marginals, theirs.marginals, **tolerance)
        torch.testing.assert_close(mine.pair_marginals, theirs.pair_marginals, **tolerance)
    # A sentence that nobody asked for before needs the model.
    with pytest.raises(NotNeeded):
        stored.chains([Sentence(["unheard", "of"], "en")], CPU)


def test_training_fills_what_is_missing(tmp_path, no_models):
    archive, _ = archived(tmp_path / "t", LABELS)
    store = TargetStore(str(tmp_path / "s"))
    one = student()
    Teachers(archive, one.label_space, store).chains(SENTENCES[:1], CPU)
    teacher = Teachers(archive, one.label_space, store)
    teacher.chains(SENTENCES, CPU)
    no_models()
    Teachers(archive, one.label_space, store).chains(SENTENCES, CPU)
