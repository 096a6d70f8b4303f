// The same by processes of several machines. Each machine runs this command with its own --node-rank, from 0, and
// a serialization directory of its own; ADDRESS is that of the first, DEVICES those of each.
//
//   TASK=fixtures DEVICES=[-1] NODES=2 ADDRESS=127.0.0.1 allennlp train training_configs/distributed/several_nodes.jsonnet -s out/fixtures/node0 --node-rank 0
//   TASK=fixtures DEVICES=[-1] NODES=2 ADDRESS=127.0.0.1 allennlp train training_configs/distributed/several_nodes.jsonnet -s out/fixtures/node1 --node-rank 1

local runs = import '../lib/runs.libsonnet';
local tasks = import '../lib/tasks.libsonnet';

runs.distributed(
  runs.distillation(tasks[std.extVar('TASK')], { type: 'posterior' }),
  std.parseJson(std.extVar('DEVICES')),
  std.parseJson(std.extVar('NODES')),
  std.extVar('ADDRESS'),
)
