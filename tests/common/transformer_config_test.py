from transformers import BertConfig, MPNetConfig, T5Config, XLMRobertaConfig, XLNetConfig

from structkd_allennlp.common.transformer_config import max_length


def test_the_longest_input():
    """Of well-known models; that it runs, and no longer one, is shown with small ones elsewhere."""
    assert max_length(BertConfig()) == 512
    for config in (XLMRobertaConfig, MPNetConfig):
        assert max_length(config(max_position_embeddings=514)) == 512
    # Their positions are relative.
    assert max_length(XLNetConfig()) is max_length(T5Config()) is None
