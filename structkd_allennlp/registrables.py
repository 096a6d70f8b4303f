"""
Imports everything that is registered, so that AllenNLP finds it by name: list this module in
`.allennlp_plugins`, or import it.
"""

import structkd_allennlp.commands.evaluation  # noqa: F401
from structkd_allennlp.commands.distillation_suite import DistillationSuite
from structkd_allennlp.commands.distillation_targets import DistillationTargets
from structkd_allennlp.commands.export_tagger import ExportTagger
from structkd_allennlp.commands.export_transformer import ExportTransformer
from structkd_allennlp.commands.train_folds import TrainFolds
from structkd_allennlp.commands.train_tokenizer import TrainTokenizer
from structkd_allennlp.data.dataset_readers import (
    ConllReader,
    MultilingualReader,
    NGramTextReader,
    PretrainingTextReader,
    SemEvalAspectReader,
    UniversalDependenciesPosReader,
    UnlabelledTextReader,
    WikiAnnReader,
)
from structkd_allennlp.data.masking import MaskingDataCollator
from structkd_allennlp.data.token_indexers import FoldedTransformerIndexer
from structkd_allennlp.data.tokenizers import BlankSpacyTokenizer
from structkd_allennlp.distillation.file_teacher import FileSource
from structkd_allennlp.distillation.huggingface_teacher import HuggingFaceSource
from structkd_allennlp.distillation.interpolation import ConstantInterpolation, LinearInterpolation
from structkd_allennlp.distillation.objectives import (
    EmissionObjective,
    PosteriorObjective,
    StructuralObjective,
    SumObjective,
    TopKObjective,
    WeightedTopKObjective,
)
from structkd_allennlp.distillation.teacher import ArchiveSource
from structkd_allennlp.models.masked_language_model_distillation import (
    MaskedLanguageModelDistillation,
)
from structkd_allennlp.models.structure_kd import StructureKD
from structkd_allennlp.models.structured_crf_tagger import StructuredCrfTagger
from structkd_allennlp.modules.token_embedders import FoldedTransformerEmbedder
from structkd_allennlp.predictors.structured_tagger import StructuredTaggerPredictor
from structkd_allennlp.training.callbacks import StructureKDCallback
from structkd_allennlp.training.checkpointer import WholeCheckpointer
from structkd_allennlp.training.epoch_record import EpochRecordCallback
from structkd_allennlp.training.evaluator import MultilingualTaggingEvaluator
from structkd_allennlp.training.initializers import CopiedInitializer
from structkd_allennlp.training.masked_language_model import MaskedLanguageModelCallback
from structkd_allennlp.training.metrics import MultilingualTaggingMetrics
from structkd_allennlp.training.overlap import OverlapCheckCallback
from structkd_allennlp.training.perplexity import MultilingualPerplexity
from structkd_allennlp.training.schedulers import ReduceOnPlateauLearningRateScheduler
from structkd_allennlp.training.train_model import DistributedTrainModel
from structkd_allennlp.training.trainer import RecoverableTrainer

__all__ = [
    "ArchiveSource",
    "BlankSpacyTokenizer",
    "ConllReader",
    "ConstantInterpolation",
    "CopiedInitializer",
    "DistillationSuite",
    "DistillationTargets",
    "DistributedTrainModel",
    "EmissionObjective",
    "EpochRecordCallback",
    "ExportTagger",
    "ExportTransformer",
    "FileSource",
    "FoldedTransformerEmbedder",
    "FoldedTransformerIndexer",
    "HuggingFaceSource",
    "LinearInterpolation",
    "MaskedLanguageModelCallback",
    "MaskedLanguageModelDistillation",
    "MaskingDataCollator",
    "MultilingualPerplexity",
    "MultilingualReader",
    "MultilingualTaggingEvaluator",
    "MultilingualTaggingMetrics",
    "NGramTextReader",
    "OverlapCheckCallback",
    "PosteriorObjective",
    "PretrainingTextReader",
    "RecoverableTrainer",
    "ReduceOnPlateauLearningRateScheduler",
    "SemEvalAspectReader",
    "StructuralObjective",
    "StructureKD",
    "StructureKDCallback",
    "StructuredCrfTagger",
    "StructuredTaggerPredictor",
    "SumObjective",
    "TopKObjective",
    "TrainFolds",
    "TrainTokenizer",
    "UniversalDependenciesPosReader",
    "UnlabelledTextReader",
    "WeightedTopKObjective",
    "WholeCheckpointer",
    "WikiAnnReader",
]
