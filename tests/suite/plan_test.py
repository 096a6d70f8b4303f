"""A change of this code makes no finished run an unfinished one."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import pytest

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite import checks
from structkd_allennlp.suite import plan as module
from structkd_allennlp.suite.jobs import TrainJob, job_of
from structkd_allennlp.suite.plan import digest, plan
from structkd_allennlp.suite.specification import Suite

RESULTS = Path("docs/results")


@pytest.fixture
def no_corpora(monkeypatch):
    """Only the evaluation depends on what is in the files."""
    for where in (checks, module):
        monkeypatch.setattr(where, "file_of", lambda path: RESULTS / "README.md")


def entries(suite, directory):
    steps = plan(suite, directory)
    return [asdict(step.job.entry) for step in steps if isinstance(step.job, TrainJob)]


@pytest.mark.parametrize("name", ["aspect", "conll2002", "ud", "wikiann"])
def test_the_digests_are_those_of_the_committed_results(name, no_corpora, tmp_path):
    suite = Suite.from_dict(read_json(RESULTS / name / "suite.json"))
    results = read_json(RESULTS / name / "results.json")
    assert digest(suite.as_dict()) == results["suite"]["digest"]
    for entry, run in zip(entries(suite, tmp_path), results["runs"], strict=True):
        assert entry.items() <= run.items()


def test_a_callback_that_records_makes_no_other_model(no_corpora, tmp_path):
    values = read_json(RESULTS / "ud" / "suite.json")
    before = entries(Suite.from_dict(values), tmp_path)
    for config in [row["config"] for row in values["rows"]] + [values["teachers"]["crf"]["de"]]:
        own = config["trainer"].setdefault("callbacks", [])
        own.append("epoch_record")
    assert entries(Suite.from_dict(values), tmp_path) == before
    values["rows"][0]["config"]["trainer"]["callbacks"].append("should_validate_callback")
    assert entries(Suite.from_dict(values), tmp_path) != before


def test_a_job_survives_its_file(tmp_path):
    suite = Suite.from_file("training_configs/suites/fixtures.jsonnet")
    steps = plan(suite, tmp_path, ["package"])
    assert len({type(step.job) for step in steps}) == 2
    for step in steps:
        assert job_of(asdict(step.job)) == step.job


def test_the_digest_of_an_evaluation(tmp_path):
    values = Suite.from_file("training_configs/suites/fixtures.jsonnet").as_dict()
    test = tmp_path / "test.txt"
    test.write_text("Ana B-PER\n")
    values |= {"zero_shot": {}, "test": dict.fromkeys(values["test"], str(test))}
    step = plan(Suite.from_dict(values), tmp_path)[0]
    # Of the metric, and of the path and the content of each test file.
    content = "907d46a0fc507b597e29b8ecf0ec55551058000f9c30d1284746bf054e8f9c19"
    text = f'["f1-measure",{{"en":["{test}","{content}"]}}]'
    assert step.job.evaluation_digest == hashlib.sha256(text.encode()).hexdigest()
