"""Fuzzing, a second of each kind of file (harness.py says how, and is what fuzzes for longer); all that was ever found
is tried again; and the harness itself finds what is planted."""

import sys
import warnings

import pytest

pytest.importorskip("resource", reason="a limit on memory as Linux has it is needed")

import harness
from kinds import KINDS


@pytest.mark.parametrize("name", KINDS)
def test_the_corpus_is_read_or_refused_in_a_sentence(name, tmp_path):
    kind, complaints = KINDS[name], {}
    path = tmp_path / kind.file
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in harness.corpus_of(kind):
            path.write_bytes(file.read_bytes())
            complaints[file.name] = harness.complaint(kind, path)
    assert [f"{file}: {said}" for file, said in complaints.items() if said] == []


@pytest.mark.parametrize("name", KINDS)
def test_the_good_files_of_the_corpus_are_good(name, tmp_path):
    kind = KINDS[name]
    for file, _ in kind.seeds():
        path = tmp_path / kind.file
        path.write_bytes((harness.CORPUS / name / file).read_bytes())
        kind.read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on memory as Linux has it is needed")
@pytest.mark.parametrize("name", KINDS)
def test_a_second_of_fuzzing_finds_nothing(name):
    report = harness.fuzz(KINDS[name], seconds=1.0, keep=None)
    assert report.findings == [] and report.inputs > 20


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_makes_the_same_inputs_and_most_are_new(name):
    kind = KINDS[name]
    files = [path.read_bytes() for path in harness.corpus_of(kind)]
    inputs = [harness.made(kind, files, 0, number) for number in range(100)]
    assert inputs == [harness.made(kind, files, 0, number) for number in range(100)]
    assert inputs != [harness.made(kind, files, 1, number) for number in range(100)]
    assert len(set(inputs) - set(files)) > 70


PLANTED = {  # what a reader does: words of the complaint
    "raise KeyError('key')": "KeyError in reader.py:6: 'key'",
    "raise ValueError('two\\nlines of it')": "this is no sentence",
    "raise ValueError('something is wrong here')": "this does not name the file",
    "import warnings; warnings.warn('careful')": "UserWarning in ",
    "import os; os.write(2, b'cannot decode tag 7')": "remarks on standard error: cannot decode tag 7",
    "bytearray(2 << 30)": "it asks for more memory than 1,073,741,824 bytes",
    "while True: pass": "it takes more than 0.2 seconds",
    "import os; os.abort()": "the process ends with SIGABRT",
    "raise ValueError(f'{path} is no file of this kind')": None,
    "pass": None,
}


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on memory as Linux has it is needed")
@pytest.mark.parametrize("reader", PLANTED)
def test_what_is_planted_is_found(reader, tmp_path):
    (tmp_path / "reader.py").write_text(f'''
import sys
import harness
from kinds import KINDS, Kind
def read(path):
    {reader}
harness.MOST_SECONDS = 0.2
KINDS["idx"] = Kind("idx", read, KINDS["idx"].seeds)
harness.main()
''')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "__file__", str(tmp_path / "reader.py"))
        patch.setenv("PYTHONPATH", str(harness.CORPUS.parent), prepend=":")
        patch.setattr(harness, "MOST_SECONDS", 0.2)
        report = harness.fuzz(KINDS["idx"], inputs=1, keep=tmp_path / "found")
    if PLANTED[reader] is None:
        assert report.findings == [] and report.inputs == 1
    else:
        (finding,) = report.findings
        assert finding.startswith("idx, seed 0, input 0 (saved as found-") and PLANTED[reader] in finding
        assert len(list((tmp_path / "found" / "idx").iterdir())) == 1
