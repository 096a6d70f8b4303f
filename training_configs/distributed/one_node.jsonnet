// The student of TASK/posterior_kd.jsonnet, trained by several processes of one machine. DEVICES has the GPU
// of each, or -1 for a process on CPUs.
//
//   TASK=fixtures DEVICES=[-1,-1] allennlp train training_configs/distributed/one_node.jsonnet -s out/fixtures/distributed

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distributed(
  runs.distillation(tasks[std.extVar('TASK')], { type: 'posterior' }),
  std.parseJson(std.extVar('DEVICES')),
)
