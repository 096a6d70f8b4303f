"""spaCy's algorithm without spaCy: the same words at the same places."""

import json
from functools import cache

import pytest
import spacy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from structkd_allennlp.common.word_rules import WordRules, describe

# Some have what others do not: a token_match, special cases of several tokens, empty infixes.
LANGUAGES = ["xx", "en", "de", "nl", "ru", "hu", "tr", "ar"]

SNIPPETS = [
    *("don't", "U.S.A.!", "e.g.", "z.B.", "т. е.", "l'homme", "we'll", "Ph.D.", "7pm", "C++"),
    *("http://a.b/c?d=e,", "a@b.org", "10km/h", "a-b-c", "x_x", "o.O", ":)", "8-D", "(:-)"),
    *("...", "--", "“", "»", "’s", "€5", "'", '"', "(", ")", ",", ".", "/", "1,5", "%", "日本"),
    *(" ", "  ", "\n", "\t", "\xa0", "\u200b", "\u3000", "A", "б", "ß", "İ", "e\u0301"),
]
TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=3)), max_size=12)


@cache
def both(language):
    tokenizer = spacy.blank(language).tokenizer
    return tokenizer, WordRules(json.loads(json.dumps(describe(tokenizer))))


@pytest.mark.parametrize("language", LANGUAGES)
@settings(deadline=None, max_examples=150)
@given(TEXTS.map("".join))
@example("Mr. O'Neill-Smith (b. 1970) doesn't pay $3.50/kg: see www.example.org/a_b, e.g. p. 3–5.")
@example("Das ist z.B. Hrn. Müllers 3-Zimmer-Wohnung, d.h. ca. 70m², usw.")
@example(" a  b \n c ")
def test_the_same_words(language, text):
    tokenizer, rules = both(language)
    assert [piece[:2] for piece in rules(text)] == [(x.text, x.idx) for x in tokenizer(text)]
    assert all(piece.text == text[piece.start : piece.end] for piece in rules(text))


def test_special_cases_are_tried():
    """So that the test above is about them too."""
    tokenizer, rules = both("en")
    assert len(tokenizer.rules) > 1000
    assert [piece.text for piece in rules("(don't) a.m.")] == ["(", "do", "n't", ")", "a.m."]
    assert sum(map(len, rules._phrases.values())) > 100
