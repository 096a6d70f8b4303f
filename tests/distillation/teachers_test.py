"""How teachers are opened, matched and refused."""

import shutil
import tarfile

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, Vocabulary
from allennlp.data.token_indexers import PretrainedTransformerMismatchedIndexer
from allennlp.models import Model
from allennlp.models.archival import archive_model

from structkd_allennlp.data.corpus_paths import fold_of
from structkd_allennlp.data.dataset_readers import ConllReader
from structkd_allennlp.distillation.teachers import CrossFitted, Teacher, Teachers
from structkd_allennlp.modules.tagger_chain import chain_of, emission_scores

CPU = torch.device("cpu")

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SENTENCES = [(["Ada", "met", "Bob"], "en"), (["New", "York"], "en")]
READER = {"type": "structkd_conll", "label_encoding": "BIO"}


def tagger(labels, type_="structured_crf_tagger", seed=0, **params):
    torch.manual_seed(seed)
    vocab = Vocabulary()
    for word in ("Ada", "New", "York"):
        vocab.add_token_to_namespace(word, "tokens")
    for label in labels:
        vocab.add_token_to_namespace(label, "labels")
    config = {
        "type": type_,
        "text_field_embedder": {
            "token_embedders": {"tokens": {"type": "embedding", "embedding_dim": 4}}
        },
        "encoder": {"type": "pass_through", "input_dim": 4},
        **params,
    }
    return Model.from_params(vocab=vocab, params=Params(config).duplicate()), config


def archived(path, labels, reader=READER, type_="structured_crf_tagger", **params):
    """Saves a random tagger as an archive; returns the archive and the tagger."""
    model, config = tagger(labels, type_, **params)
    path.mkdir()
    Params({"dataset_reader": reader, "model": config}).to_file(str(path / "config.json"))
    model.vocab.save_to_files(str(path / "vocabulary"))
    torch.save(model.state_dict(), path / "best.th")
    return archive_model(path), model.eval()


def student(labels=LABELS, **params):
    return tagger(labels, seed=9, label_encoding="BIO", **params)[0]


@pytest.mark.parametrize("type_", ["structured_crf_tagger", "crf_tagger"])
@pytest.mark.parametrize("reader", [READER, {"type": "conll2003"}])
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
    sentences = [["Ada"], ["New", "York", "Ada"], ["Ada", "Ada"]]
    languages = ["de", "en", "de"]
    first, second = Teachers(archives, one.label_space).chains(
        list(zip(sentences, languages, strict=True)), CPU
    )
    assert first[1].tolist() == [0.5, 1.0, 0.5]
    assert second[1].tolist() == [0.5, 0.0, 0.5]
    for rank, (chain, weights) in enumerate([first, second]):
        for row, (words, language) in enumerate(zip(sentences, languages, strict=True)):
            if not weights[row]:
                continue
            archive = archives[language] if language == "en" else archives["de"][rank]
            ((alone, _),) = Teachers(archive, one.label_space).chains([(words, language)], CPU)
            n = len(words)
            torch.testing.assert_close(chain.marginals[row, :n], alone.marginals[0])
            torch.testing.assert_close(chain.pair_marginals[row, : n - 1], alone.pair_marginals[0])


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


def test_missing_archives_are_all_looked_for_before_any_is_loaded(tmp_path):
    teachers = Teachers(
        {"en": "fixtures/teachers/en.tar.gz", "de": "no/such.tar.gz"}, student().label_space
    )
    with pytest.raises(ConfigurationError, match=r"language 'de' is missing: there is no no/such"):
        teachers.load(["en", "de"])
    assert not teachers.sources._opened


def corrupt(path, kind):
    if kind == "noise":
        path.write_bytes(b"no archive at all")
    elif kind == "truncated":
        with open("fixtures/teachers/en.tar.gz", "rb") as file:
            path.write_bytes(file.read()[:5000])
    elif kind == "another tar":
        (path.parent / "x").write_text("x")
        with tarfile.open(path, "w:gz") as tar:
            tar.add(path.parent / "x", arcname="x")
    elif kind == "empty directory":
        path.mkdir()


@pytest.mark.parametrize("kind", ["noise", "truncated", "another tar", "empty directory"])
def test_files_that_are_no_archive(tmp_path, kind):
    path = tmp_path / "teacher.tar.gz"
    corrupt(path, kind)
    with pytest.raises(ConfigurationError, match=r"teacher\.tar\.gz can not be loaded"):
        Teacher(str(path))


def test_an_archive_of_another_kind_of_model(tmp_path):
    vocab = Vocabulary()
    for i in range(3):
        vocab.add_token_to_namespace(f"label{i}", "labels")
    config = {
        "type": "basic_classifier",
        "text_field_embedder": {
            "token_embedders": {"tokens": {"type": "embedding", "embedding_dim": 4}}
        },
        "seq2vec_encoder": {"type": "boe", "embedding_dim": 4},
    }
    model = Model.from_params(vocab=vocab, params=Params(config).duplicate())
    Params({"dataset_reader": READER, "model": config}).to_file(str(tmp_path / "config.json"))
    vocab.save_to_files(str(tmp_path / "vocabulary"))
    torch.save(model.state_dict(), tmp_path / "best.th")
    with pytest.raises(ConfigurationError, match="a BasicClassifier is not a tagger"):
        Teacher(str(tmp_path))


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
    sentences = [*SENTENCES, (["Unsegmentable", "überlange", "Wörter", "😀"] * 4, "de")]
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


def test_cross_fitted_teachers(tmp_path):
    archives = [archived(tmp_path / f"fold{i}", LABELS, seed=i)[0] for i in (1, 2, 3)]
    one = student()
    teachers = Teachers({"en": CrossFitted(archives)}, one.label_space)
    sentences = [([f"word{i}", "York"], "en") for i in range(12)]
    teachers.load(["en"])
    ((chain, weights),) = teachers.chains(sentences, CPU)
    assert weights.tolist() == [1.0] * 12
    folds = [fold_of(words, 3) for words, _ in sentences]
    assert set(folds) == {1, 2, 3}
    for row, fold in enumerate(folds):
        ((alone, _),) = Teachers(archives[fold - 1], one.label_space).chains([sentences[row]], CPU)
        torch.testing.assert_close(chain.marginals[row], alone.marginals[0])
    with pytest.raises(ConfigurationError, match="2 archives or more"):
        CrossFitted(archives[:1])


def test_a_reader_that_changes_the_words(tmp_path):
    archive, _ = archived(tmp_path / "t", LABELS)
    teachers = Teachers(archive, student().label_space)
    reader = teachers.sources.teacher(archive)._loaded()._reader
    text_to_instance = reader.text_to_instance
    reader.text_to_instance = lambda tokens, **kw: text_to_instance(tokens[:1], **kw)
    with pytest.raises(
        ConfigurationError, match=r"scores \[1, 1\] words for sentences of \[3, 2\]"
    ):
        teachers.chains(SENTENCES, CPU)


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
