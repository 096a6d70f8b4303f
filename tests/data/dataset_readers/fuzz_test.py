"""A few of the files that benchmarks/faults/readers.py makes up, which is for many more."""

import runpy


def test_any_file_is_read_or_refused_with_a_reason():
    findings = runpy.run_path("benchmarks/faults/readers.py")["fuzz_readers"](300)
    assert findings.faults == []
    assert findings.outcomes.keys() == {"read", "refused"}
    assert findings.outcomes.total() >= 300
