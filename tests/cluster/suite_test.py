"""`allennlp distillation-suite --executor ray` on two nodes, one of which may die."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from structkd_allennlp.suite.process import log_of

pytestmark = pytest.mark.cluster

ROOT = Path.cwd()
SUITE = """
local runs = import 'ROOT/training_configs/lib/runs.libsonnet';
local tasks = import 'ROOT/training_configs/lib/tasks.libsonnet';
local task = tasks.fixtures { languages: ['en'], epochs: 12 };
local posterior = runs.distillation(task, { type: 'posterior' });
{
  title: 'Tiny',
  metric: 'f1-measure',
  test: { en: 'fixtures/conll/en/test.txt' },
  zero_shot: { pt: 'fixtures/conll/pt/test.txt' },
  teachers: { crf: { en: runs.teacher(task { epochs: 20 }) } },
  rows: [
    { name: 'baseline', config: runs.baseline(task), seeds: [1] },
    { name: 'posterior', config: posterior, teachers: 'crf', seeds: [1, 2] },
  ],
  baseline: 'baseline',
}
"""
RUNS = ["teachers/crf/en", "students/baseline/seed1"] + [
    f"students/posterior/seed{seed}" for seed in (1, 2)
]
# Of a run, what depends on when and where it was made.
CIRCUMSTANCES = {"started", "seconds", "environment", "recovered", "archive_bytes"}


def command(suite, directory, *options):
    arguments = ["distillation-suite", suite, "-s", directory, *options]
    return [sys.executable, "-m", "allennlp", *map(str, arguments)]


def ray(nodes):
    return ["--executor", "ray", "--address", nodes.address]


def heeds_interrupts():
    """Which what a shell has put into the background does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts)


def results(directory):
    """Of all runs, what has to be the same wherever they were made."""
    values = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    found = {}
    for run in values["runs"]:
        assert run["status"] == "done"
        own = {key: value for key, value in run.items() if key not in CIRCUMSTANCES}
        for epoch in own["epochs"]:
            del epoch["seconds"]
        counts = (directory / run["directory"] / "counts.json").read_text(encoding="utf-8")
        found[run["directory"]] = (own, counts)
    assert list(found) == RUNS
    return {**values, "environment": None, "runs": found}


def workers(directory):
    """The processes that work in this directory: of each run, its name and its process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        # It may have ended just now.
        with suppress(OSError):
            line = (path / "cmdline").read_bytes().decode().split("\0")
            if "structkd_allennlp.suite.launch" in line:
                job = (path / "cwd").resolve() / line[3]
                if job.is_relative_to(directory):
                    name = str(job.relative_to(directory)).removesuffix(".job.json")
                    found[name] = int(path.name)
    return found


def is_below(process, ancestor):
    while process > 1 and process != ancestor:
        status = Path(f"/proc/{process}/stat").read_text()
        process = int(status.rpartition(")")[2].split()[1])
    return process == ancestor


def epochs(directory, name):
    try:
        return len(json.loads((directory / name / "epochs.json").read_text()))
    except (OSError, ValueError):
        return 0


def until(condition, process):
    """Waits for it, and returns what it says."""
    while not (found := condition()):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    return found


def record(directory, name):
    return json.loads((directory / name / "run.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        yield


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "tiny.jsonnet"
    path.write_text(SUITE.replace("ROOT", str(ROOT)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def expected(suite):
    directory = suite.parent / "local"
    subprocess.run(command(suite, directory, "--jobs", 2), check=True, stdout=subprocess.DEVNULL)
    return results(directory)


def test_stopped_and_gone_on_with(nodes, suite, tmp_path, expected):
    """However it is stopped, no worker stays, on either node."""
    directory = tmp_path / "suite"
    for number, least in ((signal.SIGKILL, 2), (signal.SIGINT, 4)):
        with started(command(suite, directory, *ray(nodes))) as process:
            until(lambda n=least: all(epochs(directory, x) > n for x in RUNS[:2]), process)
            both = workers(directory)
            assert sorted(is_below(pid, nodes.raylet) for pid in both.values()) == [False, True]
            process.send_signal(number)
            printed, _ = process.communicate()
        assert "2 at a time" in printed
        if number == signal.SIGKILL:
            while workers(directory):
                time.sleep(0.05)
        assert workers(directory) == {}
    assert process.returncode == 130, printed
    assert "interrupted" in printed
    subprocess.run(command(suite, directory, *ray(nodes)), check=True)
    assert results(directory) == expected
    assert all(record(directory, name)["recovered"] for name in RUNS[:2])
    assert not (directory / ".cluster").exists()


@pytest.mark.parametrize("how", ["node", "raylet"])
def test_a_node_dies(nodes, suite, tmp_path, expected, how):
    """It takes its runs along, and these go on elsewhere from their last checkpoints."""
    directory = tmp_path / "suite"
    with started(command(suite, directory, *ray(nodes))) as process:

        def on_the_second():
            for name, pid in workers(directory).items():
                if epochs(directory, name) > 2 and is_below(pid, nodes.raylet):
                    return name, pid
            return None

        name, pid = until(on_the_second, process)
        if how == "node":
            nodes.kill()
        else:
            nodes.kill_raylet()
        # Nothing of it is left to write to what others go on with.
        until(lambda: not Path(f"/proc/{pid}").exists(), process)
        printed, _ = process.communicate()
    if how == "raylet":
        # The rest of the node.
        nodes.kill()
    assert process.returncode == 0, printed
    assert "failed" not in printed
    assert results(directory) == expected
    assert record(directory, name)["recovered"]


@pytest.fixture
def elsewhere(nodes, tmp_path):
    """In the place of the second node one that sees nothing in the place of this directory."""
    nodes.kill()
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    mounted = f"mount -t tmpfs tmpfs {shlex.quote(str(hidden))}"
    # In a file system of its own, as far as this user may have one.
    unshare = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*unshare, mounted], capture_output=True).returncode:
        pytest.skip("needs unshare(1), and a system that lets this user mount")
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
    start += [f"--address={nodes.address}", "--object-store-memory=200000000"]
    with subprocess.Popen([*unshare, f"{mounted} && exec {shlex.join(start)}"]) as node:
        nodes.wait(2)
        yield hidden
        node.terminate()
        node.wait()
        # Else what the next test starts may be sent to it.
        nodes.wait(1)


def test_without_a_file_system_in_common(nodes, elsewhere, suite, expected):
    def copies():
        return set(Path(tempfile.gettempdir()).glob("structkd-suite-*"))

    before, directory = copies(), elsewhere / "suite"
    with started(command(suite, directory, *ray(nodes))) as process:
        assert until(lambda: copies() - before, process)
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert results(directory) == expected
    assert copies() == before
    # What came back has no checkpoints. The other node has worked where everything is.
    far = {name for name in RUNS if not list((directory / name).glob("*.th"))}
    assert 0 < len(far) < len(RUNS)
    assert all("Epoch duration" in log_of(name, directory).read_text() for name in RUNS)
    # What is trained already is only evaluated again, on either.
    for name in RUNS:
        own = {**record(directory, name), "evaluation_digest": "of another test file"}
        (directory / name / "run.json").write_text(json.dumps(own), encoding="utf-8")
    subprocess.run(command(suite, directory, *ray(nodes)), check=True)
    assert results(directory) == expected
    assert not any("Epoch duration" in log_of(name, directory).read_text() for name in RUNS)


GPUS = """
import ray
from pathlib import Path
from allennlp.common.checks import ConfigurationError
from structkd_allennlp.suite.jobs import Step, TargetsJob
from structkd_allennlp.suite.ray_executor import RayExecutor

ray.init("local", num_cpus=5, num_gpus=2, include_dashboard=False, log_to_driver=False)
try:
    RayExecutor(cpus=6)
except ConfigurationError as error:
    print("refused:", error)
assert RayExecutor(cpus=3).slots == 1
executor = RayExecutor(cpus=2)
assert executor.slots == 2
steps = [Step(f"s{i}", TargetsJob([], ["probe"]), "targets") for i in range(2)]
executor.run(steps, Path.cwd(), lambda step: None)
assert [step.state for step in steps] == ["done", "done"]
"""
PROBE = """
import os, time
print("has", os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"])
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Else one could do both.
time.sleep(5)
"""


def test_each_gets_a_gpu(tmp_path):
    """
    Such as there are here: none that a model could be on. A Ray that had been in the process of
    these tests would stay in the way of nodes that are added afterwards.
    """
    pytest.importorskip("ray")
    (tmp_path / "probe.py").write_text(PROBE, encoding="utf-8")
    command = [sys.executable, "-c", GPUS]
    printed = subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True)
    assert re.search("refused:.* --cpus is 6, and no node .* and a GPU", printed.stdout)
    logs = "".join(log_of(f"s{i}", tmp_path).read_text() for i in range(2))
    assert sorted(re.findall("has .*", logs)) == ["has 0 2", "has 1 2"]
