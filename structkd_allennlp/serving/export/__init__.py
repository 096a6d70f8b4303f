"""From an archive to what `serving.tagger` loads. This part needs AllenNLP and PyTorch."""
