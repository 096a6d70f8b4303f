"""A student that starts from its teacher and learns from it, as a user types it."""

import shutil

from structkd_allennlp.common.files import read_json
from tests.commands.user import allennlp, copy_of_what_a_user_has

CONFIG = "training_configs/copied_posterior_kd.jsonnet"


def test_it_trains_and_evaluates_where_its_teachers_are_gone(tmp_path):
    folder = copy_of_what_a_user_has(tmp_path)
    overrides = '{"trainer.num_epochs": 1, "trainer.optimizer.lr": 0.0}'
    log = allennlp(folder, "train", CONFIG, "-s", "run", "--overrides", overrides)
    assert log.count("copied from fixtures/teachers/en.tar.gz") == 1
    table = (folder / "run/initialization.txt").read_text(encoding="utf-8")
    assert "  copied      encoder._module.weight_hh_l0\n" in table
    assert read_json(folder / "run/metrics.json")["training_distillation_loss"] > 0
    shutil.rmtree(folder / "fixtures/teachers")
    (folder / "run").rename(folder / "elsewhere")
    test = "fixtures/conll/en/test.txt"
    allennlp(folder, "evaluate", "elsewhere/model.tar.gz", test, "--output-file", "scores.json")
    # With nothing learnt, those of the English teacher, but for words that it does not know.
    assert read_json(folder / "scores.json")["f1-measure/en"] > 0.5
