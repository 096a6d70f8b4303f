from structkd_allennlp.suite.summary import repeated_sentences


def test_test_sentences_that_are_in_the_training_data():
    teacher, student = {"row": None, "group": "crf"}, {"row": "baseline", "group": None}
    runs = [
        {**teacher, "repeated": {"nl": [1178, 2000], "de": [0, 500]}},
        {**student, "repeated": {"nl": [20, 2000], "de": [3, 500]}},
        {**student, "repeated": {"nl": [20, 2000], "de": [3, 500]}},
        {**student, "row": "posterior", "repeated": {"nl": [20, 2000], "de": [3, 500]}},
        {**student, "row": "other", "repeated": {"nl": [0, 2000]}},
        # A run from before they were counted.
        {**student, "row": "old"},
    ]
    assert repeated_sentences(runs) == [
        "Of the test sentences, 1,178 of 2,000 in nl are also in the labelled training data "
        "(teachers crf), so scores on them partly measure memory.",
        "Of the test sentences, 20 of 2,000 in nl, 3 of 500 in de are also in the labelled "
        "training data (baseline, posterior), so scores on them partly measure memory.",
    ]
