"""The predictor on a teacher of the fixtures: inputs of all kinds, every field of the output."""

import json

import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.models import load_archive
from allennlp.predictors import Predictor

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


def test_wrong_settings():
    for top_k in (0, "3", 1.5):
        with pytest.raises(ConfigurationError, match="top_k must be a whole number"):
            predictor(top_k=top_k)
    with pytest.raises(ConfigurationError, match=r"no setting \['topk'\]: there are top_k"):
        predictor(topk=3)


def test_is_the_default_of_our_models():
    archive = load_archive("fixtures/teachers/en.tar.gz")
    assert type(Predictor.from_archive(archive)).__name__ == "StructuredTaggerPredictor"


def test_convenience(plain):
    assert plain.predict("Maria sings")["words"] == ["Maria", "sings"]
    assert plain.predict(words=["Maria"], language="en")["language"] == "en"
