"""The distillation model: its loss, its teachers, and what it leaves behind."""

import copy
import shutil

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import Batch
from allennlp.models import Model, load_archive

from structkd_allennlp.modules.tagger_chain import emission_scores
from tests.distillation.taggers import archived

CONFIG = "training_configs/posterior_kd.jsonnet"
DEV = "fixtures/conll/{language}/dev.txt"


class TestStructureKD(ModelTestCase):
    def setup_method(self):
        super().setup_method()
        self.set_up_model(CONFIG, DEV, seed=1)

    def batch(self, instances):
        batch = Batch(instances)
        batch.index_instances(self.vocab)
        return batch.as_tensor_dict()

    def model_with(self, **params):
        model_params = Params.from_file(CONFIG)["model"].as_dict(quiet=True)
        model_params.update(copy.deepcopy(params))
        return Model.from_params(vocab=self.vocab, params=Params(model_params))

    def test_trains_saves_and_loads(self):
        self.ensure_model_can_train_save_and_load(
            CONFIG, overrides={"trainer.num_epochs": 1}, tolerance=1e-5
        )

    def test_loss_is_the_interpolation(self):
        batch = self.batch(self.instances[:7])
        for weight in (0.0, 0.3, 1.0):
            model = self.model_with(interpolation={"type": "constant", "value": weight})
            model.load_state_dict(self.model.state_dict())
            model.student.dropout = None
            student = model.student
            loss = model(**batch)["loss"]

            logits, mask = emission_scores(student, batch["tokens"])
            chain = student.chain(logits, mask)
            nll = -chain.log_prob(batch["tags"]).mean()
            # Each sentence with its own language's teacher, one by one.
            distillation = []
            for i, instance in enumerate(self.instances[:7]):
                metadata = instance["metadata"].metadata
                archive = f"fixtures/teachers/{metadata['language']}.tar.gz"
                teacher = load_archive(archive)
                own = teacher.dataset_reader.text_to_instance(metadata["words"])
                teacher.dataset_reader.apply_token_indexers(own)
                one = Batch([own])
                one.index_instances(teacher.model.vocab)
                scores = emission_scores(teacher.model.eval(), one.as_tensor_dict()["tokens"])
                q_t = teacher.model.chain(*scores).marginals[0]
                columns = [teacher.model.labels.index(label) for label in student.labels]
                n = len(metadata["words"])
                log_q_s = chain.log_marginals[i, :n]
                distillation.append(-(q_t[:, columns] * log_q_s).sum())
            expected = weight * torch.stack(distillation).mean() + (1 - weight) * nll
            torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
            metrics = model.get_metrics(reset=True)
            assert metrics["lambda"] == weight
            assert metrics["nll_loss"] == pytest.approx(nll.item(), abs=1e-4)

    def test_objectives_that_an_iob1_teacher_cannot_serve(self):
        archive, _ = archived(
            self.TEST_DIR / "iob1", ["O", "I-PER"], {"type": "conll2003"}, "crf_tagger"
        )
        emission, posterior = {"type": "emission"}, {"type": "posterior"}
        both = {"type": "sum", "objectives": [posterior, emission]}
        for objective in (emission, both):
            model = self.model_with(teachers=archive, objective=objective)
            with pytest.raises(ConfigurationError, match=r"model.tar.gz has IOB1 labels.*emission"):
                model.teachers.load(["en"])
        self.model_with(teachers=archive, objective=posterior).teachers.load(["en"])

    def test_decodes_in_training_if_asked(self):
        batch = self.batch(self.instances[:4])
        model = self.model_with(interpolation={"type": "constant", "value": 0.5})
        assert "tags" not in model(**batch)
        assert "accuracy" not in model.get_metrics(reset=True)
        model.student.decode_in_training = True
        assert len(model(**batch)["tags"]) == 4
        assert 0 <= model.get_metrics(reset=True)["accuracy"] <= 1

    def test_teachers_are_no_part_of_the_model(self):
        model = self.model_with(interpolation={"type": "constant", "value": 0.5})
        before = set(model.state_dict())
        model(**self.batch(self.instances[:4]))["loss"].backward()
        assert set(model.state_dict()) == before
        assert all(name.startswith("student.") for name in before)

    def test_evaluates_and_predicts_without_teachers(self):
        model = self.model_with(teachers={"en": "not/there.tar.gz"}).eval()
        output = model(**self.batch(self.instances[:4]))
        assert torch.isfinite(output["loss"])
        assert model.get_metrics()["f1-measure/macro"] >= 0
        assert model.forward_on_instance(self.instances[0])["tags"]

    def test_text_without_tags_is_distilled_alone(self):
        model = self.model_with(interpolation={"type": "constant", "value": 0.5})
        batch = self.batch(self.instances[:4])
        del batch["tags"]
        loss = model(**batch)["loss"]
        metrics = model.get_metrics()
        assert metrics["lambda"] == 1.0
        assert metrics["distillation_loss"] == pytest.approx(loss.item())

    def test_losses_of_several_teachers_are_averaged(self):
        constant = {"type": "constant", "value": 1.0}
        batch = self.batch([i for i in self.instances if i["metadata"]["language"] == "en"][:4])
        en, es = (f"fixtures/teachers/{x}.tar.gz" for x in ("en", "es"))
        losses = []
        for teachers in ({"en": en}, {"en": es}, {"en": [en, es]}, en):
            model = self.model_with(teachers=teachers, interpolation=constant)
            model.load_state_dict(self.model.state_dict())
            model.student.dropout = None
            losses.append(model(**batch)["loss"])
        torch.testing.assert_close(losses[2], (losses[0] + losses[1]) / 2)
        torch.testing.assert_close(losses[3], losses[0])
        assert losses[0] != losses[1]

    def test_a_teacher_is_conditioned_on_what_the_student_can_say(self, tmp_path):
        """A teacher without constraints must not ask for what a constrained student forbids."""
        from allennlp.models.archival import archive_model

        directory = tmp_path / "free"
        directory.mkdir()
        config = Params.from_file("training_configs/teacher.jsonnet")
        config["model"]["constrain_crf"] = False
        config["model"]["constrain_crf_decoding"] = False
        config.to_file(str(directory / "config.json"))
        self.vocab.save_to_files(str(directory / "vocabulary"))
        free = Model.from_params(vocab=self.vocab, params=config["model"])
        torch.save(free.state_dict(), directory / "best.th")
        archive_model(directory)

        model = self.model_with(
            teachers=str(directory / "model.tar.gz"),
            interpolation={"type": "constant", "value": 1.0},
        )
        loss = model(**self.batch(self.instances[:4]))["loss"]
        assert loss.item() < 1e4
        loss.backward()

    def test_a_language_without_a_teacher(self):
        model = self.model_with(teachers={"en": "fixtures/teachers/en.tar.gz"})
        with pytest.raises(ConfigurationError, match=r"no teacher for language 'es'.*\['en'\]"):
            model(**self.batch(self.instances[:4]))

    def test_a_schedule_needs_to_know_where_training_stands(self):
        batch = self.batch(self.instances[:4])
        self.model(**batch)
        assert self.model.get_metrics()["lambda"] == 1.0
        with pytest.raises(ConfigurationError, match="callbacks"):
            self.model(**batch)

    def test_the_student_must_be_a_structured_crf_tagger(self):
        student = Params.from_file(CONFIG)["model"]["student"].as_dict(quiet=True)
        student = {**student, "type": "crf_tagger"}
        del student["constrain_crf"]
        with pytest.raises(ConfigurationError, match="structured_crf_tagger"):
            self.model_with(student=student)

    @pytest.mark.parametrize(
        ("teachers", "message"),
        [({}, "no teachers"), ({"en": []}, "list of teachers for en is empty")],
    )
    def test_no_teachers(self, teachers, message):
        with pytest.raises(ConfigurationError, match=message):
            self.model_with(teachers=teachers)

    def test_a_directory_is_a_teacher_too(self, tmp_path):
        shutil.unpack_archive("fixtures/teachers/en.tar.gz", tmp_path / "en")
        model = self.model_with(
            teachers=str(tmp_path / "en"), interpolation={"type": "constant", "value": 1.0}
        )
        assert torch.isfinite(model(**self.batch(self.instances[:4]))["loss"])
