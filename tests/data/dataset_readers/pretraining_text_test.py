from collections import Counter

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DataLoader, DatasetReader, Vocabulary

from structkd_allennlp.data.dataset_readers import MultilingualReader, UnlabelledTextReader
from structkd_allennlp.data.tokenizers.pretrained import masked_lm_tokenizer

TOKENIZER = "fixtures/tiny_mbert"
TEXTS = {
    "en": ["The red house is near the river .", "She said so .", "Where is it ?"] * 5,
    "es": ["La casa roja está cerca del río .", "Lo dijo ella ."] * 2,
}


@pytest.fixture
def paths(tmp_path):
    for language, lines in TEXTS.items():
        path = tmp_path / f"{language}.txt"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(tmp_path / "{language}.txt")


def make(**params):
    values = {"type": "pretraining_text", "tokenizer": TOKENIZER, "languages": ["en", "es"]}
    return DatasetReader.from_params(Params({**values, **params}))


def pieces_of(line):
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    return [x for word in line.split() for x in tokenizer.encode(word, add_special_tokens=False)]


def blocks_by_language(instances):
    blocks = {}
    for instance in instances:
        language = instance["metadata"].metadata["language"]
        blocks.setdefault(language, []).append(instance["tokens"].input_ids.tolist())
    return blocks


def test_blocks_hold_the_sentences_in_order_and_are_full(paths):
    """Sentence by sentence as a tagger splits them, none broken, and no block takes another."""
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    blocks = blocks_by_language(make(length=40, exponent=1.0).read(paths))
    assert set(blocks) == set(TEXTS)
    for language, lines in TEXTS.items():
        found = []
        for i, block in enumerate(blocks[language]):
            assert len(block) <= 40
            assert (block[0], block[-1]) == (cls, sep)
            sentences = [[]]
            for piece in block[1:-1]:
                if piece == sep:
                    sentences.append([])
                else:
                    sentences[-1].append(piece)
            if i:
                assert len(blocks[language][i - 1]) + 1 + len(sentences[0]) > 40
            found += sentences
        assert found == [pieces_of(line) for line in lines]


def test_a_sentence_longer_than_a_block_is_broken(paths):
    blocks = blocks_by_language(make(length=8, exponent=1.0).read(paths))
    for language, lines in TEXTS.items():
        tokenizer = masked_lm_tokenizer(TOKENIZER)
        special = {tokenizer.cls_token_id, tokenizer.sep_token_id}
        found = [x for block in blocks[language] for x in block if x not in special]
        assert found == [x for line in lines for x in pieces_of(line)]
        assert max(map(len, blocks[language])) == 8


def test_raw_text_and_tagged_corpora(tmp_path):
    raw = tmp_path / "en.txt"
    raw.write_text("Don't go, he said.\n", encoding="utf-8")
    (instance,) = make(reader={"type": "unlabelled_text", "tokenized": False}).read(str(raw))
    assert instance["tokens"].input_ids.tolist()[1:-1] == pieces_of("Do n't go , he said .")
    instances = list(make(reader={"type": "structkd_conll"}).read("fixtures/conll/en/train.txt"))
    assert {x["metadata"].metadata["language"] for x in instances} == {"en"}


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_share_the_text(paths, workers):
    """Streamed, in as many processes: each sentence as often as one process reads it."""
    reader = make(exponent=0.5, length=16)
    loader = DataLoader.from_params(
        Params({"batch_size": 2, "num_workers": workers, "max_instances_in_memory": 4}),
        reader=reader,
        data_path=paths,
    )
    loader.index_with(Vocabulary.empty())
    found = Counter()
    for batch in loader:
        tokens = batch["tokens"]
        found.update(tokens["input_ids"][tokens["attention_mask"]].tolist())
    copies = (15 / 4) ** 0.5
    es = [line for _ in range(2) for line in TEXTS["es"]][: round(4 * copies)]
    wanted = Counter(x for line in TEXTS["en"] + es for x in pieces_of(line))
    tokenizer = masked_lm_tokenizer(TOKENIZER)
    for special in (tokenizer.cls_token_id, tokenizer.sep_token_id):
        del found[special]
    assert found == wanted


def test_one_text(paths):
    instance = make().text_to_instance([["She", "said"], ["so"]], "en")
    ids = instance["tokens"].input_ids.tolist()
    sep = masked_lm_tokenizer(TOKENIZER).sep_token_id
    assert ids[1:-1] == [*pieces_of("She said"), sep, *pieces_of("so")]
    with pytest.raises(ConfigurationError, match='Pass fewer, or raise "length"'):
        make(length=8).text_to_instance([["She", "said", "so"]] * 9)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tokenizer": "fixtures/conll"}, "no tokenizer can be loaded"),
        ({"length": 2}, '"length" must be 3 or more'),
    ],
)
def test_what_is_refused(params, message):
    with pytest.raises(ConfigurationError, match=message):
        make(**params)


def test_files_of_one_at_a_time(paths):
    reader = MultilingualReader(reader=UnlabelledTextReader(), languages=["en", "es"])
    files = reader.files(paths)
    assert [file.language for file in files] == ["en", "es"]
    for file in files:
        found = [" ".join(x.words) for x in reader.sentences_of(file)]
        assert found == TEXTS[file.language]
