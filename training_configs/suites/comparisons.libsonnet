// The comparison of each task, by TASK.
{
  wikiann: import 'wikiann.jsonnet',
  ud: import 'ud.jsonnet',
  conll2002: import 'conll2002.jsonnet',
  aspect: import 'aspect.jsonnet',
}
