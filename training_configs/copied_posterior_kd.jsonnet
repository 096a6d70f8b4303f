// posterior_kd.jsonnet with a student that starts from the weights of its English teacher, whose size
// it has: a minute on two cores.
//
//   allennlp train training_configs/copied_posterior_kd.jsonnet -s out/copied_posterior_kd --include-package structkd_allennlp
//
// What was copied is in out/copied_posterior_kd/initialization.txt. With a BiLSTM that stays the
// teacher's:
//   --overrides '{"model.student.initializer": {"regexes": [["^encoder", {"type": "copied", "source": "fixtures/teachers/en.tar.gz", "frozen": true}], [".*", {"type": "copied", "source": "fixtures/teachers/en.tar.gz"}]]}}'

local runs = import 'lib/runs.libsonnet';
local taggers = import 'lib/taggers.libsonnet';
local tasks = import 'lib/tasks.libsonnet';

local task = tasks.fixtures;
local copied = { type: 'copied', source: 'fixtures/teachers/en.tar.gz' };

runs.distillation(task, { type: 'posterior' }, taggers.bilstm_crf(task, task.teacher)) + {
  model+: { student+: { initializer: { regexes: [['.*', copied]] } } },
}
