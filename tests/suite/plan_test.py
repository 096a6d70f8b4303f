"""A change of this code makes no finished run an unfinished one."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import pytest

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common.files import read_json
from structkd_allennlp.suite import plan as module
from structkd_allennlp.suite import specification
from structkd_allennlp.suite.plan import TrainJob, digest, job_of, plan
from structkd_allennlp.suite.specification import Suite

RESULTS = Path("docs/results")


@pytest.mark.parametrize("name", ["aspect", "conll2002", "ud", "wikiann"])
def test_the_digests_are_those_of_the_committed_results(name, monkeypatch, tmp_path):
    # The corpora are not here, and only the evaluation depends on them.
    for where in (specification, module):
        monkeypatch.setattr(where, "file_of", lambda path: RESULTS / "README.md")
    suite = Suite.from_dict(read_json(RESULTS / name / "suite.json"))
    results = read_json(RESULTS / name / "results.json")
    jobs = [step.job for step in plan(suite, tmp_path) if isinstance(step.job, TrainJob)]
    assert digest(suite.as_dict()) == results["suite"]["digest"]
    for job, run in zip(jobs, results["runs"], strict=True):
        assert asdict(job.entry).items() <= run.items()


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
