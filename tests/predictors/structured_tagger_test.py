"""The predictor on a teacher of the fixtures: inputs of all kinds, every field of the output."""

import gc
import importlib.util
import json
import math
import re

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.models import load_archive
from allennlp.predictors import Predictor

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.data.sentences import metadata_of

TEXT = "Maria  lives in Porto. 👍"


def predictor(**kwargs):
    archive = load_archive("fixtures/teachers/en.tar.gz")
    return Predictor.from_archive(archive, "structured_tagger", extra_args=kwargs)


@pytest.fixture(scope="module")
def plain():
    return predictor()


def test_raw_text(plain):
    output = plain.predict_json({"sentence": TEXT, "language": "en"})
    assert set(output) == {"words", "language", "tags", "tag_probabilities", "entities", "top_k"}
    assert output["words"] == ["Maria", "lives", "in", "Porto", ".", "👍"]
    assert output["language"] == "en"
    assert len(output["tags"]) == len(output["tag_probabilities"]) == 6
    assert all(0 < p <= 1 for p in output["tag_probabilities"])
    assert [(e["text"], e["label"]) for e in output["entities"]] == [
        ("Maria", "PER"),
        ("Porto", "LOC"),
    ]
    for entity in output["entities"]:
        assert set(entity) == {
            "text", "label", "start", "end", "start_char", "end_char", "probability"
        }  # fmt: skip
        assert TEXT[entity["start_char"] : entity["end_char"]] == entity["text"]
        assert output["words"][entity["start"] : entity["end"]] == [entity["text"]]
        assert 0 < entity["probability"] <= 1
    (best,) = output["top_k"]
    assert best["tags"] == output["tags"]
    assert 0 < best["probability"] <= min(output["tag_probabilities"])
    json.dumps(output)


def test_words(plain):
    words = ["Maria", "Lopes", "lives", "in", "New York"]
    output = plain.predict_json({"words": words})
    assert output["words"] == words
    assert output["entities"][0]["text"] == "Maria Lopes"
    assert not any("start_char" in entity for entity in output["entities"])


def test_an_entity_of_raw_text_keeps_its_spaces(plain):
    output = plain.predict_json({"sentence": "Maria  Lopes lives in Porto ."})
    assert output["entities"][0]["text"] == "Maria  Lopes"


def test_top_k_and_marginals():
    output = predictor(top_k=4, marginals=True).predict_json({"sentence": TEXT})
    probabilities = [path["probability"] for path in output["top_k"]]
    scores = [path["score"] for path in output["top_k"]]
    assert len(probabilities) == 4
    assert probabilities == sorted(probabilities, reverse=True)
    assert scores == sorted(scores, reverse=True)
    assert sum(probabilities) <= 1 + 1e-6
    assert len({tuple(path["tags"]) for path in output["top_k"]}) == 4
    for tag, probability, row in zip(
        output["tags"], output["tag_probabilities"], output["marginals"], strict=True
    ):
        assert sum(row.values()) == pytest.approx(1, abs=1e-5)
        assert row[tag] == pytest.approx(probability)


def test_top_k_beyond_what_exists():
    output = predictor(top_k=1000).predict_json({"words": ["Hi"]})
    # Every label that can start a sentence.
    labels = load_archive("fixtures/teachers/en.tar.gz").model.labels
    starting = {label for label in labels if not label.startswith("I-")}
    assert {path["tags"][0] for path in output["top_k"]} == starting
    assert len(output["top_k"]) == len(starting)
    assert sum(path["probability"] for path in output["top_k"]) == pytest.approx(1, abs=1e-5)


def test_a_batch_with_empty_sentences(plain):
    outputs = plain.predict_batch_json(
        [{"sentence": "  "}, {"sentence": "Maria sings"}, {"words": [], "language": "es"}]
    )
    assert outputs[0] == plain.predict_json({"sentence": ""})
    assert outputs[0]["words"] == outputs[0]["tags"] == outputs[0]["entities"] == []
    assert outputs[1]["words"] == ["Maria", "sings"]
    assert outputs[2]["language"] == "es"
    assert predictor(marginals=True).predict("")["marginals"] == []
    assert set(outputs[0]) == set(outputs[1])


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ru", "Мария живёт в Москве."),
        ("zh", "玛丽住在北京。"),
        ("ar", "تعيش ماريا في القاهرة."),
        ("xx", "Maria lebt in Köln"),
        ("tlh", "nuqneH"),
        (None, "e\u0301te\u0301 😀😀"),
    ],
)
def test_any_language(plain, language, text):
    output = plain.predict_json({"sentence": text, "language": language})
    assert "".join(output["words"]) == text.replace(" ", "")
    assert len(output["tags"]) == len(output["words"])


def test_lines(plain):
    assert plain.load_line("Maria lives here.\r\n") == {"sentence": "Maria lives here."}
    assert plain.load_line('{"words": ["a"]}\n') == {"words": ["a"]}
    assert plain.load_line('["a", "b"]') == {"words": ["a", "b"]}
    assert plain.load_line("[1] is a footnote\n") == {"sentence": "[1] is a footnote"}
    assert json.loads(plain.dump_line({"words": ["Москва"]})) == {"words": ["Москва"]}
    assert "Москва" in plain.dump_line({"words": ["Москва"]})
    with pytest.raises(ConfigurationError, match="starts as JSON but is none"):
        plain.load_line("{ broken\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, 'either "words"'),
        ({"words": ["a"], "sentence": "a"}, 'either "words"'),
        ({"words": "a b"}, "list of non-empty strings"),
        ({"words": ["a", 1]}, "list of non-empty strings"),
        ({"words": ["a", ""]}, "list of non-empty strings"),
        ({"sentence": 3}, "must be a string"),
        ({"sentence": "a", "language": 5}, "language"),
    ],
)
def test_wrong_inputs(plain, given, message):
    with pytest.raises(ConfigurationError, match=message):
        plain.predict_json(given)


def test_language_of_input_that_names_none():
    output = predictor(language="es").predict_batch_json(
        [{"sentence": "Hola"}, {"sentence": "Hello", "language": "en"}]
    )
    assert [one["language"] for one in output] == ["es", "en"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_k": 0}, "top_k must be a whole number of at least 1, not 0"),
        ({"top_k": "3"}, "top_k must be a whole number"),
        ({"top_k": 1.5}, "top_k must be a whole number"),
        ({"top_k": True}, "top_k must be a whole number"),
        ({"max_tokens_per_batch": 0}, "max_tokens_per_batch must be a whole number"),
        ({"max_sentence_length": -1}, "max_sentence_length must be a whole number"),
        ({"marginals": "yes"}, "marginals must be true or false, not 'yes'"),
        ({"skip_errors": 1}, "skip_errors must be true or false"),
        ({"bad_lines": "bad.txt"}, 'written only with "skip_errors": true'),
        ({"skip_errors": True, "bad_lines": 5}, "bad_lines is 5: it must be the path of a file"),
        ({"skip_errors": True, "bad_lines": "no/such/dir"}, "cannot be written to 'no/such/dir'"),
        ({"topk": 3}, r"no setting \['topk'\]: there are top_k"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        predictor(**settings)


def test_a_whole_number_in_the_notation_of_json():
    output = predictor(**json.loads('{"top_k": 1e9}')).predict("Maria")
    assert 1 < len(output["top_k"]) < 10


def labels_of(predictor):
    return predictor._tagger.labels


def test_as_many_sequences_as_exist():
    """Also where many more are asked for than there is memory for."""
    several = predictor(top_k=10**9)
    (path,) = several.predict_batch_json([{"words": ["Maria", "sings"]}])
    # All that BIO allows: no I- first, and then only after the same type.
    labels = labels_of(several)
    types = len([label for label in labels if label.startswith("B-")])
    assert len(path["top_k"]) == (types + 1) * len(labels) - (types + 1) * types + types
    assert sum(one["probability"] for one in path["top_k"]) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ConfigurationError, match=r"20 tokens.*1,000,000,000 label sequences"):
        several.predict(words=["Maria"] * 20)


ODD = [
    pytest.param(
        '{"sentence": "\\ud800 Maria"}', r"character 1, '\\ud800', is half of", id="surrogate"
    ),
    pytest.param('["a", "b\\udfff"]', r"character 4, '\\udfff'", id="surrogate in a word"),
    pytest.param("[" * 100_000, "nested too deeply", id="deep list"),
    pytest.param(
        '{"words": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply", id="deep words"
    ),
    pytest.param('{"words": ' + "[" * 500 + "]" * 500 + "}", "non-empty strings", id="less deep"),
    pytest.param("word " * 300_000, "300,000 words is longer than", id="many words"),
    pytest.param("x" * 5_000_000, "5,000,000 characters are more than the 4,000,000", id="long"),
    pytest.param(json.dumps(["x" * 3_000_000, "a"]), "the longest of 3,000,000", id="long word"),
    pytest.param("{broken", "starts as JSON but is none", id="broken"),
    pytest.param('{"words": 1' + "0" * 5000 + "}", "starts as JSON but is none", id="digits"),
    pytest.param('{"sentence": NaN}', '"sentence" must be a string, not nan', id="NaN"),
    pytest.param('{"words": {"a": 1}}', "not {'a': 1}", id="types"),
    pytest.param('{"sentence": "a", "language": "\\ud800"}', '"language" must', id="language"),
    pytest.param("[1]", "must be written as", id="no words"),
]


@pytest.mark.parametrize(("line", "reason"), ODD)
def test_an_odd_line(line, reason):
    """It ends the job, with its number and a reason that does not grow with it."""
    strict = predictor()
    strict.load_line("Maria sings.\n")
    with pytest.raises(ConfigurationError, match=reason) as error:
        strict.predict_json(strict.load_line(f"{line}\n"))
    assert error.value.message.startswith("line 2 (blank lines not counted): ")
    assert len(error.value.message) < 500


@pytest.fixture
def lenient(tmp_path):
    return predictor(skip_errors=True, bad_lines=str(tmp_path / "bad.txt"))


def test_going_on(lenient, plain, tmp_path):
    odd = [param.values[0] for param in ODD]
    lines = ["\ufeffMaria sings.", *odd, "Anna lives in Porto."]
    outputs = lenient.predict_batch_json([lenient.load_line(f"{line}\n") for line in lines])
    texts = "Maria sings.", "Anna lives in Porto."
    for output, text in zip((outputs[0], outputs[-1]), texts, strict=True):
        assert output["words"] == plain.predict(text)["words"]
    for i, (output, param) in enumerate(zip(outputs[1:-1], ODD, strict=True)):
        assert set(output) == {"error"}
        assert output["error"].startswith(f"line {i + 2} (blank lines not counted): ")
        assert re.search(param.values[1], output["error"])
    bad = (tmp_path / "bad.txt").read_text(encoding="utf-8")
    assert bad == "".join(f"{line}\n" for line in odd)


def test_bytes_that_are_no_utf8_stay_what_they_are(lenient, tmp_path):
    """Python hands them on as halves of surrogate pairs when they come from standard input."""
    lines = [b"Maria\xff sings.\n", "Füße.\n".encode()]
    inputs = [lenient.load_line(line.decode("utf-8", "surrogateescape")) for line in lines]
    assert ["error" in output for output in lenient.predict_batch_json(inputs)] == [True, False]
    assert (tmp_path / "bad.txt").read_bytes() == lines[0]


def test_the_count_at_the_end(caplog):
    # Of the predictors of other tests.
    gc.collect()
    caplog.clear()
    lenient = predictor(skip_errors=True)
    lenient.predict_batch_json([lenient.load_line(x) for x in ("{", "Maria", "[2]", "Anna")])
    lenient.predict_json({"sentence": 5})
    assert "could not be tagged" not in caplog.text
    del lenient
    gc.collect()
    assert "3 of 5 inputs could not be tagged: their lines" in caplog.text


def test_a_sentence_that_the_model_fails_on(plain, monkeypatch):
    """The others of its batch are tagged nevertheless."""
    lenient = predictor(skip_errors=True)
    forward = lenient._model.forward_on_instances

    def failing(instances):
        if any("Anna" in metadata_of(instance)["words"] for instance in instances):
            raise IndexError("index out of range in self")
        return forward(instances)

    monkeypatch.setattr(lenient._model, "forward_on_instances", failing)
    inputs = [{"sentence": "Maria sings."}, {"sentence": "Anna sings."}, {"words": ["Porto"]}]
    outputs = lenient.predict_batch_json(inputs)
    assert outputs[1] == {
        "error": "the input {'sentence': 'Anna sings.'}: it cannot be tagged (IndexError: index "
        "out of range in self)"
    }
    assert outputs[::2] == [plain.predict_json(inputs[0]), plain.predict_json(inputs[2])]


def test_probabilities_that_are_no_numbers():
    broken = predictor()
    with torch.no_grad():
        broken._tagger.tag_projection_layer._module.bias.fill_(math.nan)
    with pytest.raises(ConfigurationError, match="no numbers"):
        broken.predict("Maria sings.")


def test_batches_are_bounded_and_the_order_is_kept(plain, monkeypatch):
    words = ["Maria", "Lopes", "lives", "in", "Porto", "."]
    inputs = [{"words": words * n} for n in (1, 40, 2, 1, 3, 40, 2, 1)]
    inputs += [{"words": ["Maria", "x" * 1000]}, {"sentence": ""}, {"words": ["Porto"]}]
    bounded = predictor(max_tokens_per_batch=100)
    forward = bounded._model.forward_on_instances
    seen = []

    def watching(instances):
        lengths = [len(metadata_of(instance)["words"]) for instance in instances]
        seen.append((len(instances), max(lengths)))
        return forward(instances)

    monkeypatch.setattr(bounded._model, "forward_on_instances", watching)
    outputs = bounded.predict_batch_json(inputs)
    assert all(sentences == 1 or sentences * length <= 100 for sentences, length in seen)
    assert len(seen) < len(inputs) - 1
    for output, given in zip(outputs, inputs, strict=True):
        alone = plain.predict_json(given)
        assert (output["words"], output["tags"]) == (alone["words"], alone["tags"])
        assert output["tag_probabilities"] == pytest.approx(alone["tag_probabilities"], abs=1e-5)


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "Москва"), ("latin-1", "\\u041c")])
def test_output_that_every_encoding_can_hold(plain, monkeypatch, encoding, shown):
    monkeypatch.setattr("locale.getpreferredencoding", lambda _: encoding)
    line = plain.dump_line({"words": ["Москва"]})
    assert shown in line
    assert json.loads(line.encode(encoding)) == {"words": ["Москва"]}


def test_fuzzing():
    """What comes out is an error or a whole prediction, as benchmarks/faults/predictor.py says."""
    spec = importlib.util.spec_from_file_location("fuzz", "benchmarks/faults/predictor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outcomes = module.fuzz_predictor(30)
    assert outcomes["tagged"] > 10
    assert outcomes["refused"] > 10


def test_is_the_default_of_our_models():
    archive = load_archive("fixtures/teachers/en.tar.gz")
    assert type(Predictor.from_archive(archive)).__name__ == "StructuredTaggerPredictor"


def test_convenience(plain):
    assert plain.predict("Maria sings")["words"] == ["Maria", "sings"]
    assert plain.predict(words=["Maria"], language="en")["language"] == "en"
