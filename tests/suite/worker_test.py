"""What a run of a suite leaves: counts by sentence, and how training went."""

from structkd_allennlp.suite.jobs import Entry, TrainJob
from structkd_allennlp.suite.worker import repeated_tests


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
