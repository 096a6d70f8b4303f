import pytest
from allennlp.common.checks import ConfigurationError
from transformers import AutoTokenizer

from structkd_allennlp.data.dataset_readers import ConllReader
from structkd_allennlp.data.tokenizers.training import FALLBACKS, train_tokenizer, write_tokenizer

SIZE = 600


def texts():
    return (x.words for x in ConllReader().sentences("fixtures/conll/es/train.txt"))


@pytest.mark.parametrize("fallback", FALLBACKS)
def test_a_directory_that_auto_tokenizer_loads(tmp_path, monkeypatch, fallback):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    trained = train_tokenizer(texts, SIZE, fallback, min_frequency=1)
    write_tokenizer(trained, tmp_path / "tokenizer")
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]
    loaded = AutoTokenizer.from_pretrained(str(tmp_path / "tokenizer"))
    assert len(loaded) == SIZE
    for words in texts():
        pieces = loaded(words, is_split_into_words=True)["input_ids"]
        assert loaded.unk_token_id not in pieces
        assert (pieces[0], pieces[-1]) == (loaded.cls_token_id, loaded.sep_token_id)
        # Split word by word, as AllenNLP does it for a tagger.
        alone = loaded(words, add_special_tokens=False)["input_ids"]
        assert pieces[1:-1] == [piece for word in alone for piece in word]
        text = loaded.decode(pieces, skip_special_tokens=True)
        assert text.replace(" ", "") == "".join(words)
    # Case counts, and frequent words are whole.
    assert loaded.tokenize("la") != loaded.tokenize("LA")
    assert len(loaded.tokenize("de")) == 1


@pytest.mark.parametrize("fallback", FALLBACKS)
def test_the_same_text_gives_the_same_tokenizer(fallback):
    first, second = (train_tokenizer(texts, SIZE, fallback).get_vocab() for _ in range(2))
    assert first == second


def test_what_is_never_unknown():
    characters = train_tokenizer(texts, SIZE, "character", min_frequency=1)
    assert characters.unk_token not in characters.tokenize("adeiraldez")
    assert characters.tokenize("дом") == [characters.unk_token]
    # A piece for a character is an ordinary one.
    assert "##a" not in characters.all_special_tokens
    assert characters.decode(characters.convert_tokens_to_ids(["c", "##a"])) == "ca"
    in_bytes = train_tokenizer(texts, SIZE, "byte")
    pieces = in_bytes("дом 你好 🙂", add_special_tokens=False)["input_ids"]
    assert in_bytes.unk_token_id not in pieces
    assert in_bytes.decode(pieces).strip() == "дом 你好 🙂"


def test_rare_characters_take_no_place():
    def few():
        return [["aa", "ab", "zé"], ["aa", "ba"]]

    vocabulary = train_tokenizer(few, 50, min_frequency=2).get_vocab()
    assert {"a", "b", "##a", "##b"} <= set(vocabulary)
    assert not {"z", "é", "##é"} & set(vocabulary)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((30, "character"), "a vocabulary of 30 is too small: characters and special tokens"),
        ((30, "byte"), "bytes and special tokens alone take 261. Raise its size."),
        ((300, "word"), "'word' is not one of character, byte"),
        ((300, "byte", 0), "min_frequency must be 1 or more"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        train_tokenizer(texts, *arguments)
