"""Archives of taggers with random weights."""

import torch
from allennlp.common import Params
from allennlp.models import Model
from allennlp.models.archival import archive_model


def random_archive(path, vocab, reader, model):
    """The archive of a `structured_crf_tagger`, in a new directory."""
    path.mkdir()
    config = {"dataset_reader": reader, "model": model}
    Params(config).duplicate().to_file(str(path / "config.json"))
    tagger = Model.from_params(vocab=vocab, params=Params(config["model"]).duplicate())
    with torch.no_grad():
        # Far from each other, so that a wrong one is noticed.
        for parameter in (tagger.tag_projection_layer._module.weight, *tagger.crf.parameters()):
            parameter.normal_(0, 2)
    vocab.save_to_files(str(path / "vocabulary"))
    torch.save(tagger.state_dict(), path / "best.th")
    return archive_model(path)
