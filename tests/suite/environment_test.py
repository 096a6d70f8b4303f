"""What is recorded of the machine and of the revision."""

import subprocess

import pytest
import torch

from structkd_allennlp.suite import environment


@pytest.fixture
def repository(tmp_path):
    directory = tmp_path / "repository" / "package"
    directory.mkdir(parents=True)
    (directory / "module.py").write_text("1\n")

    def git(*arguments):
        names = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(directory.parent), *names, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    git("tag", "v1")
    return directory, git


def test_revision(repository):
    directory, git = repository
    commit = git("rev-parse", "HEAD")
    assert environment.revision(directory) == commit
    (directory / "module.py").write_text("2\n")
    assert environment.revision(directory) == f"{commit}-dirty"


def test_no_revision(repository, tmp_path, monkeypatch):
    directory, _ = repository
    # Installed within somebody else's repository.
    installed = directory / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("")
    assert environment.revision(installed) is None
    assert environment.revision(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert environment.revision(directory) is None


def test_machine_and_versions():
    machine = environment.machine()
    assert machine["processor"]
    assert 1 <= machine["cores"] == environment.cores()
    assert len(machine["gpus"]) == len(environment.gpus())
    versions = environment.versions(["torch", "no-such-package"])
    assert list(versions) == ["python", "torch"]


def test_instructions_are_those_in_use(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    own = torch.backends.cpu.get_cpu_capability()
    assert environment.machine()["instructions"] == own
    # They come from the processor, or from whoever says which to use.
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert environment.machine()["instructions"] == f"{own}, oneDNN up to AVX2"


@pytest.mark.parametrize(("visible", "names"), [("2,5", ["2", "5"]), (None, ["0", "1"])])
def test_gpus(monkeypatch, visible, names):
    monkeypatch.setattr(environment.torch.cuda, "device_count", lambda: 2)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.gpus() == names
