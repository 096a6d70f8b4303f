"""A worker that only notes in a file what it would do, and leaves what a run leaves."""

import json
import os
import sys
import time
from pathlib import Path

job_file, events = map(Path, sys.argv[1:])
job = json.loads(job_file.read_text())
name = str(job_file.relative_to(events.parent / "suite")).removesuffix(".job.json")


def note(what):
    environment = [os.environ.get(x) for x in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")]
    with events.open("a") as file:
        file.write(json.dumps([name, what, *environment]) + "\n")


if "fill" in job:
    note("fill")
    if any(config.get("fail_fill") for config in job["fill"]):
        sys.exit("no fill")
    sys.exit()
directory = Path(job["directory"])
done = directory / "run.json"
if done.exists() and json.dumps(job["entry"]["digest"]) in done.read_text():
    note("evaluate")
else:
    note("recover" if directory.exists() else "train")
    directory.mkdir(parents=True, exist_ok=True)
    if job["config"].get("hang"):
        time.sleep(60)
    if job["config"].get("fail"):
        print("progress\rmore progress\nwhat went wrong")
        sys.exit(1)
    (directory / "model.tar.gz").write_bytes(b"")
(directory / "counts.json").write_text("{}")
run = {
    "seconds": 1.5,
    "scores": dict.fromkeys(job["tests"], 50.0),
    **job["entry"],
    "evaluation_digest": job["evaluation_digest"],
}
done.write_text(json.dumps(run))
note("end")
