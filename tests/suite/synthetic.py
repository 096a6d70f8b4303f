"""A suite's results as the runner would leave them, without training anything."""

import json
from pathlib import Path

import numpy as np

EPOCHS = 12
ENVIRONMENT = {
    "python": "3.11.9",
    "torch": "2.11.0",
    "allennlp": "2.10.1",
    "structkd_allennlp": "0.1.0",
    "platform": "Linux-6.1-x86_64",
    "processor": "Intel(R) Xeon(R)",
    "instructions": "AVX2",
    "cores": 2,
    "gpus": [],
    "revision": 40 * "a",
}
OBJECTIVES = {
    "emission": {"type": "emission"},
    "top-k": {"type": "top_k"},
    "weighted top-k": {"type": "weighted_top_k"},
    "weighted top-k, k=3": {"type": "weighted_top_k", "k": 3},
    "weighted top-k, k=30": {"type": "weighted_top_k", "k": 30},
    "posterior": {"type": "posterior", "temperature": 1.0},
    "posterior, weaker teachers": {"type": "posterior"},
    "structural": {"type": "structural"},
    "posterior + weighted top-k": {
        "type": "sum",
        "objectives": [{"type": "posterior"}, {"type": "weighted_top_k", "k": 10}],
    },
}


def score(counts):
    correct, *others = np.asarray(counts).sum(0)
    return 100 * len(others) * correct / sum(others)


def make_results(
    directory: Path,
    languages=("de", "en"),
    zero_shot=("pt",),
    rows=("baseline", "emission", "posterior"),
    groups=("crf",),
    seeds=(1, 2),
    sentences=60,
    metric="f1-measure",
    without=(),
    repeated=None,
):
    """
    # Parameters

    without : `Sequence[str]`, optional (default = `()`)
        The directories of runs that are not done. Those of teachers failed, the others are waiting.
    repeated : `Dict[str, str]`, optional
        By language, the test sentences that teachers have seen with labels. Students have seen the
        first two of each language without.
    """
    rng = np.random.default_rng(0)
    # How hard each sentence is, and how many spans or tokens it has, is the same for every run.
    gold = {x: rng.integers(1, 5, sentences) for x in (*languages, *zero_shot)}
    ease = {x: rng.normal(1.5 if x in languages else -0.5, 1.5, sentences) for x in gold}

    def counts(language, quality):
        chance = 1 / (1 + np.exp(-ease[language] - quality))
        correct = rng.binomial(gold[language], chance)
        if metric == "accuracy":
            return np.stack([correct, gold[language]], 1).tolist()
        predicted = correct + rng.binomial(gold[language], 0.3 * (1 - chance))
        return np.stack([correct, predicted, gold[language]], 1).tolist()

    def epochs(final, objective):
        shape = 1 - 0.6 * np.exp(-np.arange(EPOCHS) / 2)
        return [
            {
                "epoch": i,
                "seconds": 20.0,
                "validation": final * shape[i] + rng.normal(0, 0.2),
                "training_loss": 10 / (i + 1),
                "nll_loss": 10 / (i + 1) if objective else None,
                "distillation_loss": 20 / (i + 1) if objective else None,
                "lambda": 1 - i / (EPOCHS - 1) if objective else None,
            }
            for i in range(EPOCHS)
        ]

    runs = []

    def add(run, tested, quality, parameters, seconds):
        run = {"group": None, "language": None, "index": None, "row": None, "seed": None} | run
        run = {"objective": None, "teachers": None, "error": None} | run
        run |= {"status": "done", "digest": "0" * 64}
        runs.append(run)
        if run["directory"] in without:
            failed = run["kind"] == "teacher"
            run["status"] = "failed" if failed else "waiting"
            run["error"] = "Traceback:\nRuntimeError: <out> of | memory" if failed else None
            return
        own = {language: counts(language, quality) for language in tested}
        folder = directory / run["directory"]
        folder.mkdir(parents=True)
        (folder / "counts.json").write_text(json.dumps(own), encoding="utf-8")
        scores = {language: score(x) for language, x in own.items()}
        run |= {
            "parameters": parameters,
            "archive_bytes": 4 * parameters,
            "seconds": seconds * rng.uniform(0.95, 1.05),
            "started": "2026-11-22T10:00:00+00:00",
            "dev": scores[tested[0]],
            "dev_average": "macro",
            "vocabulary": {"tokens": 5000, "labels": 9},
            "data": {
                "labelled_sentences": 1000,
                "labelled_tokens": 12_000,
                "unlabelled_sentences": 0 if run["kind"] == "teacher" else 300,
                "unlabelled_tokens": 0 if run["kind"] == "teacher" else 4000,
                "teachers_labelled_sentences": 2000 if run["teachers"] else 0,
                "teachers_labelled_tokens": 23_000 if run["teachers"] else 0,
            },
            "environment": ENVIRONMENT | {"threads": 1},
            "revisions": [ENVIRONMENT["revision"]],
            "repeated": {language: [0, sentences] for language in tested},
            "repeated_sentences": {"labelled": {}, "unlabelled": {}},
            "scores": scores,
            "epochs": epochs(scores[tested[0]], run["objective"]),
            "recovered": run["directory"] == "students/posterior/seed1",
        }
        if repeated and run["kind"] == "teacher":
            run["repeated_sentences"]["labelled"] = {
                language: text for language, text in repeated.items() if language in tested
            }
        elif repeated:
            run["repeated_sentences"]["unlabelled"] = dict.fromkeys(tested, "0-1")

    for i, group in enumerate(groups):
        for language in languages:
            # The first language has an ensemble.
            members = [0, 1] if language == languages[0] else [None]
            for index in members:
                path = ["teachers", group, language] + [str(index)] * (index is not None)
                run = {"kind": "teacher", "group": group, "language": language, "index": index}
                run["directory"] = "/".join(path)
                add(run, [language, *zero_shot], 0.6 - 0.1 * i, 4_000_000 + 300_000 * i, 1500)
    for i, row in enumerate(rows):
        for seed in seeds if i < 8 else seeds[:1]:
            objective = OBJECTIVES.get(row)
            teachers = None if objective is None else groups[-1 if "weaker" in row else 0]
            run = {"kind": "student", "row": row, "seed": seed, "objective": objective}
            run |= {"teachers": teachers, "directory": f"students/{row}/seed{seed}"}
            if teachers is not None:
                run["teacher_runs"] = [x["directory"] for x in runs if x["group"] == teachers]
            quality = 0.05 * i + rng.normal(0, 0.02)
            add(run, [*languages, *zero_shot], quality, 700_000, 600 + 70 * i)
    results = {
        "suite": {
            "title": "Synthetic named entities",
            "description": "Random numbers & no models at all.",
            "metric": metric,
            "languages": list(languages),
            "zero_shot": list(zero_shot),
            "baseline": "baseline",
            "rows": list(rows),
            "teacher_groups": list(groups),
            "digest": "0" * 64,
        },
        "environment": {
            "date": "2026-11-22T12:00:00+00:00",
            **ENVIRONMENT,
            "jobs": 2,
        },
        "runs": runs,
    }
    (directory / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return results
