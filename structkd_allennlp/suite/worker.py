"""One job of a suite, in a process of its own: see `launch`."""

import json
import logging
import shutil
import time
from copy import deepcopy
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.plugins import import_plugins
from allennlp.common.util import import_module_and_submodules
from allennlp.data import DatasetReader
from allennlp.data.data_loaders import MultiProcessDataLoader
from allennlp.models import Model, SimpleTagger
from allennlp.models.archival import CONFIG_NAME, load_archive
from allennlp.nn.util import get_text_field_mask, move_to_device
from allennlp_models.tagging.models.crf_tagger import CrfTagger

from structkd_allennlp.common.files import read_json, write_json
from structkd_allennlp.common.reading_limits import without_limits
from structkd_allennlp.data.dataset_readers.multilingual import MultilingualReader
from structkd_allennlp.data.overlap import digest_of
from structkd_allennlp.distillation.fill import fill_target_store
from structkd_allennlp.models.structured_crf_tagger import StructuredCrfTagger
from structkd_allennlp.models.tagger_output import TaggerOutput
from structkd_allennlp.modules.linear_chain import KBest, LinearChain
from structkd_allennlp.modules.tagger_chain import chain_of, label_names, tagger_of
from structkd_allennlp.suite import environment
from structkd_allennlp.suite.files import COUNTS_NAME, PROBABILITIES_NAME, RUN_NAME, revisions_file
from structkd_allennlp.suite.jobs import TargetsJob, TrainJob, job_of
from structkd_allennlp.suite.plan import RECORDING_CALLBACKS
from structkd_allennlp.suite.repeated import ranges
from structkd_allennlp.suite.training_set import training_set
from structkd_allennlp.training.epoch_record import read_record
from structkd_allennlp.training.metrics import score, sentence_counts
from structkd_allennlp.training.probability_record import (
    DEPTH,
    ProbabilityRecord,
    ProbabilityRecorder,
    write_records,
)
from structkd_allennlp.training.trainer import read_recoveries

logger = logging.getLogger(__name__)

Counts = List[List[int]]
"""For each sentence, [correct, predicted, gold] entities, or [correct, all] tokens."""


def main(job_file: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s - %(levelname)s - %(message)s")
    job = job_of(read_json(Path(job_file)))
    import_plugins()
    for package in job.include_package:
        import_module_and_submodules(package)
    if isinstance(job, TargetsJob):
        for config in job.fill:
            fill_target_store(Params(config), cuda_device=_cuda_device())
    else:
        execute(job)


def execute(job: TrainJob) -> None:
    """Trains the model of a job, unless that is done, then evaluates it and writes its record."""
    directory = Path(job.directory)
    run = job.trained()
    if run is None:
        started = datetime.now().astimezone()
        run = {
            "started": started.isoformat(timespec="seconds"),
            # A copy: AllenNLP takes out of it what it reads.
            "environment": {**environment.circumstances(), "threads": torch.get_num_threads()},
            "seconds": train(Params(deepcopy(job.config)), directory),
            "revisions": _revisions(directory),
        }
    # Also for a model that is only evaluated again: the metric may have changed.
    run |= training_results(directory, job.metric)
    run["recovered"] = bool(read_recoveries(directory))
    epochs = [_epoch(epoch, job.metric) for epoch in read_record(directory)]
    # Runs from before there was `epochs.json` have their epochs in the record already.
    run["epochs"] = epochs or run.get("epochs", [])
    counts, probabilities, digests = evaluate(directory, job.tests, job.metric)
    # What an earlier evaluation, on other files, has left.
    (directory / PROBABILITIES_NAME).unlink(missing_ok=True)
    if probabilities:
        write_records(directory / PROBABILITIES_NAME, probabilities)
    write_json(directory / COUNTS_NAME, counts, indent=None)
    run |= asdict(job.entry)
    run |= _seen(job, digests)
    run["scores"] = {language: _percent(own) for language, own in counts.items()}
    run["evaluation_digest"] = job.evaluation_digest
    write_json(directory / RUN_NAME, run)


def train(params: Params, directory: Path) -> float:
    """
    Trains a model, or goes on with an interrupted training of the same configuration. Returns the
    seconds of training in all.
    """
    trainer = params["trainer"].params
    if _cuda_device() >= 0:
        trainer["cuda_device"] = _cuda_device()
    own = trainer.get("callbacks") or []
    ours = [name for name in RECORDING_CALLBACKS if name not in own]
    trainer["callbacks"] = [*own, *ours]
    config = params.as_flat_dict()
    # With no whole checkpoint among the files, the trainer starts anew by itself.
    recover = _trained(directory) == config
    if not recover:
        # Nothing can go on from what is there.
        shutil.rmtree(directory, ignore_errors=True)
    revisions = _revisions(directory) if recover else []
    write_json(revisions_file(directory), list(dict.fromkeys([*revisions, environment.revision()])))
    before = sum(epoch["seconds"] for epoch in read_record(directory))
    started = time.monotonic()
    train_model(params, str(directory), recover=recover, file_friendly_logging=True)
    return before + time.monotonic() - started


def _revisions(directory: Path) -> List[Optional[str]]:
    """Those that trained the model, one after the other if it was recovered; `None` if unknown."""
    try:
        found: List[Optional[str]] = read_json(revisions_file(directory))
    except (OSError, ValueError):
        return [None]
    return found


def _trained(directory: Path) -> Optional[Dict[str, Any]]:
    try:
        return Params(read_json(directory / CONFIG_NAME)).as_flat_dict()
    except (OSError, ValueError):
        return None


def training_results(directory: Path, metric: str) -> Dict[str, Any]:
    """The size of the trained model, and its best development score."""
    archive = directory / "model.tar.gz"
    model = load_archive(archive).model
    metrics = read_json(directory / "metrics.json")
    name = _validation_name(metrics, "best_validation", metric)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": {x: model.vocab.get_vocab_size(x) for x in model.vocab.get_namespaces()},
        "archive_bytes": archive.stat().st_size,
        "dev": _validation(metrics, "best_validation", metric),
        "dev_average": None if name is None else "macro" if "/macro" in name else "micro",
    }


def _epoch(record: Dict[str, Any], metric: str) -> Dict[str, Any]:
    """One epoch, with the keys of `results.json`."""
    return {
        "epoch": record["epoch"],
        "seconds": record["seconds"],
        "validation": _validation(record, "validation", metric),
        "training_loss": record.get("training_loss"),
        "nll_loss": record.get("training_nll_loss"),
        "distillation_loss": record.get("training_distillation_loss"),
        "lambda": record.get("training_lambda"),
    }


def _validation(metrics: Dict[str, Any], prefix: str, metric: str) -> Optional[float]:
    """In percent."""
    name = _validation_name(metrics, prefix, metric)
    return None if name is None else 100 * float(metrics[name])


def _validation_name(metrics: Dict[str, Any], prefix: str, metric: str) -> Optional[str]:
    # Taggers other than ours have no scores by language.
    names = [f"{prefix}_{name}" for name in (f"{metric}/macro", f"{metric}-overall", metric)]
    return next((name for name in names if name in metrics), None)


class Evaluation(NamedTuple):
    """
    By language, the counts of the sentences of its test file, in the order of the file; what their
    probabilities were; and the digests of their words. There are no probabilities of taggers other
    than a `structured_crf_tagger`, alone or as a student, and a `simple_tagger`.
    """

    counts: Dict[str, Counts]
    probabilities: Dict[str, ProbabilityRecord]
    digests: Dict[str, List[bytes]]


def evaluate(directory: Path, tests: Dict[str, str], metric: str) -> Evaluation:
    """Runs the model of a finished training."""
    path = directory / "model.tar.gz"
    archive = load_archive(path, cuda_device=_cuda_device(), overrides=without_limits(path))
    model, reader = archive.model.eval(), archive.validation_dataset_reader
    tagger = getattr(model, "student", model)
    if isinstance(tagger, StructuredCrfTagger):
        tagger.top_k = max(tagger.top_k, DEPTH)
    found = Evaluation({}, {}, {})
    for language, test in tests.items():
        recorder = None
        if isinstance(tagger, (StructuredCrfTagger, SimpleTagger)):
            recorder = ProbabilityRecorder(label_names(tagger), spans=metric != "accuracy")
        found.counts[language], found.digests[language] = _count(
            model, reader, language, test, metric, recorder
        )
        if recorder is not None:
            found.probabilities[language] = recorder.record()
    return found


def _seen(job: TrainJob, tests: Dict[str, List[bytes]]) -> Dict[str, Any]:
    """
    How much a run was trained on, and which test sentences are in it. Nothing is known of data that
    is read by other readers than ours.
    """
    seen = training_set(job)
    if seen is None:
        return {"data": None, "repeated": {}, "repeated_sentences": {}}
    found = seen.repeated(tests)
    return {
        "data": seen.data,
        "repeated": {x: (len(found["labelled"][x]), len(own)) for x, own in tests.items()},
        "repeated_sentences": {
            kind: {language: ranges(own) for language, own in by_language.items() if own}
            for kind, by_language in found.items()
        },
    }


def _location(reader: DatasetReader, language: str, path: str) -> str:
    # The path alone need not say which of the suite's languages this is. As JSON it may be one that
    # the reader's configuration lacks.
    return json.dumps({language: path}) if isinstance(reader, MultilingualReader) else path


@torch.no_grad()
def _count(
    model: Model,
    reader: DatasetReader,
    language: str,
    path: str,
    metric: str,
    recorder: Optional[ProbabilityRecorder],
) -> Tuple[Counts, List[bytes]]:
    location = _location(reader, language, path)
    loader = MultiProcessDataLoader(reader, location, batch_size=32, shuffle=False)
    loader.index_with(model.vocab)
    device = _cuda_device()
    loader.set_target_device(torch.device("cpu" if device < 0 else device))
    counts: Counts = []
    digests: List[bytes] = []
    for batch in loader:
        # The loss is not needed, and the model may never have seen some of these labels.
        batch.pop("tags", None)
        batch = move_to_device(batch, device)
        output = model(**batch)
        if recorder is not None:
            gold_tags = [sentence.get("tags") for sentence in batch["metadata"]]
            recorder(*_distribution(model, batch, output), gold_tags)
        predicted = _predicted(model, output)
        for sentence, tags in zip(batch["metadata"], predicted, strict=True):
            if "tags" in sentence:
                gold = sentence["tags"]
                predicted_tags = tags[: len(gold)]
                counts.append(sentence_counts(predicted_tags, gold, spans=metric != "accuracy"))
                digests.append(digest_of(sentence["words"]))
    return counts, digests


def _distribution(
    model: Model, batch: Dict[str, Any], output: Dict[str, Any]
) -> Tuple[LinearChain, KBest]:
    """The tagger's, and its best sequences, of which the first is the prediction."""
    if isinstance(output, TaggerOutput):
        return output.chain, KBest(output["top_k_paths"], output["top_k_scores"])
    # Its transitions, zeros, are on the CPU.
    logits, mask = output["logits"].cpu(), get_text_field_mask(batch["tokens"]).cpu()
    chain = chain_of(tagger_of(model), logits, mask, constrained=False)
    return chain, chain.k_best(DEPTH)


def _predicted(model: Model, output: Dict[str, Any]) -> List[List[str]]:
    tagger = getattr(model, "student", model)
    if isinstance(tagger, CrfTagger):
        # Skips what is made for people, which takes longer than the tags.
        names = label_names(tagger)
        return [[names[label] for label in path] for path in output["tags"]]
    tags: Any = model.make_output_human_readable(output)["tags"]
    return tags


def _percent(counts: Counts) -> float:
    """The score of the sentences together."""
    return 100 * float(score(np.sum(counts, axis=0))) if counts else 0.0


def _cuda_device() -> int:
    # Of several GPUs, this process sees only its own.
    return 0 if torch.cuda.is_available() else -1
