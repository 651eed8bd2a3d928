"""An exported C file as a part of somebody's program: what it shows, what it needs, and that several go together."""

import re
import shutil
import subprocess

import exported
import numpy as np
import pytest
from c_compiler import STRICT, close, gcc, needs_gcc, written

from byhand.files import c

CLASSES = tuple("abcde")


@needs_gcc
@pytest.mark.skipif(not shutil.which("nm"), reason="there is no nm")
@pytest.mark.parametrize(("name", "int8"), [(None, False), ("net_1", False), ("net_1", True)])
def test_it_needs_nothing_but_the_mathematics_and_shows_nothing_but_what_is_called(name, int8, tmp_path):
    """No memory is asked for, and nothing is called that is not in math.h. All that another file could see begins with
    the name that was asked for, and what is static too, since a program may include two such files."""
    for network in exported.TOGETHER:
        text = written(tmp_path, exported.saved(network, exported.PIXELS), name=name, int8=int8)
        gcc(*STRICT, "-O0", "-c", tmp_path / "network.c", "-o", tmp_path / "network.o")
        said = subprocess.run(["nm", tmp_path / "network.o"], capture_output=True, text=True, check=True).stdout
        kinds = {symbol: kind for *_, kind, symbol in map(str.split, said.splitlines())}
        assert {symbol for symbol, kind in kinds.items() if kind == "U"} <= {
            "expf", "expm1f", "erff", "tanhf", "log1pf", "logf", "sqrtf", "_GLOBAL_OFFSET_TABLE_"}
        own = {symbol for symbol, kind in kinds.items() if kind != "U" and (name or kind.isupper())}
        begin = "predict|byhand_" if name is None else f"{name}_"
        assert own and all(re.match(begin, symbol) for symbol in own)
        defined = re.findall(r"#define (\w+)", text)
        assert defined and all(word.startswith(f"{name or 'BYHAND'}_") for word in defined)


@needs_gcc
@pytest.mark.parametrize(("main", "network"), [("c", "c"), ("c++", "c"), ("c++", "c++")])
def test_another_file_can_use_it_as_its_comment_says(main, network, tmp_path):
    """Each compiled as C or as C++, in whatever language the other is."""
    if "c++" in (main, network) and not shutil.which("g++"):
        pytest.skip("there is no g++")
    saved = exported.saved("convolution", exported.PIXELS, classes=CLASSES)
    text = written(tmp_path, saved)
    said = re.findall(r"^ \*     (.*)$", text[text.index("declare in the other one"):text.index("*/")], re.MULTILINE)
    assert sum(line.endswith(";") for line in said) == 4
    program = "#include <stdint.h>\n#include <stdio.h>\n" + "\n".join(said) + """
int main(void)
{
    static uint8_t picture[64];
    for (int i = 0; i < 64; i++)
        picture[i] = (uint8_t)(4 * i);
    puts(byhand_classes[byhand_classify(picture)]);
    return 0;
}
"""
    (tmp_path / "main.c").write_text(program)
    for name, language in (("main", main), ("network", network)):
        gcc("-x", language, "-Wall", "-Wextra", "-Werror", "-c", tmp_path / f"{name}.c", "-o", tmp_path / f"{name}.o")
    gcc(tmp_path / "main.o", tmp_path / "network.o", "-o", tmp_path / "main", "-lm")
    answer = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    picture = (4 * np.arange(64)).astype(np.uint8).reshape(1, 1, 8, 8)
    assert answer.strip() == CLASSES[saved.predict(picture).argmax()]


@needs_gcc
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++")
@pytest.mark.parametrize("int8", [False, True])
def test_it_can_be_included_in_cpp(tmp_path, int8):
    """As sketches for Arduino do."""
    for name in ("shortcut", "activations", "along the last axis"):
        c.save(exported.saved(name, exported.PIXELS, classes=()), tmp_path / "network.c", int8=int8)
        gcc("-std=c++11", "-Wall", "-Wextra", "-Werror", "-x", "c++", "-c", tmp_path / "network.c", "-o",
            tmp_path / "network.o", compiler="g++")


# --- several in one program -------------------------------------------------------------------------------------------

BOTH = """
int main(void)
{
    static float first[64], second[270], logits[5];
    while (fread(first, sizeof *first, 64, stdin) == 64 && fread(second, sizeof *second, 270, stdin) == 270) {
        digits_predict(first, logits);
        fwrite(logits, sizeof *logits, 5, stdout);
        predict_2_predict(second, logits);
        fwrite(logits, sizeof *logits, 5, stdout);
    }
    return 0;
}
"""
"""A program that has two networks answer in turns: `digits`, and one whose name begins like one of C's functions."""


@needs_gcc
@pytest.mark.parametrize("included", [False, True], ids=["linked", "in one file"])
def test_two_networks_in_one_program(included, tmp_path):
    names = {"digits": ("convolution", False), "predict_2": ("odd convolutions", True)}
    declared, inputs, expected = [], [], []
    for name, (network, int8) in names.items():
        saved = exported.saved(network, classes=CLASSES)
        declared += c.save(saved, tmp_path / f"{name}.c", int8=int8, name=name)
        inputs.append(exported.samples(network))
        expected.append((c.quantized(saved) if int8 else saved).predict(inputs[-1]))
    used = [f'#include "{name}.c"' for name in names] if included else ["#include <stdint.h>", *declared]
    (tmp_path / "main.c").write_text("\n".join(["#include <stdio.h>", *used, BOTH]))
    sources = [] if included else [tmp_path / f"{name}.c" for name in names]
    gcc(*STRICT, tmp_path / "main.c", *sources, "-o", tmp_path / "main", "-lm")
    samples = np.concatenate([x.reshape(len(x), -1) for x in inputs], axis=1).tobytes()
    said = subprocess.run([tmp_path / "main"], input=samples, capture_output=True, check=True).stdout
    found = np.frombuffer(said, np.float32).reshape(-1, 2, 5)
    close(found[:, 0], expected[0])
    far = np.abs(found[:, 1] - expected[1]) > 1e-5 * (1 + np.abs(expected[1]))
    assert far.any(axis=1).mean() <= 0.2, "as few as where it is alone"


@needs_gcc
def test_names_may_differ_in_case_only(tmp_path):
    for name, network in (("digits", "perceptron"), ("Digits", "Linear")):
        c.save(exported.saved(network), tmp_path / f"{name}_of.c", name=name)
    (tmp_path / "main.c").write_text("""
#include "digits_of.c"
#include "Digits_of.c"
int main(void)
{
    return digits_INPUTS == 64 && Digits_INPUTS == 6 ? 0 : 1;
}
""")
    gcc(*STRICT, tmp_path / "main.c", "-o", tmp_path / "main", "-lm")
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


def test_a_name_changes_no_text(tmp_path):
    saved = exported.saved("convolution", classes=("predict", "window", "byhand_a", "BYHAND_B", "/* conv2d"))
    declared = c.save(saved, tmp_path / "digits.c", name="digits")
    plain, named = written(tmp_path, saved), (tmp_path / "digits.c").read_text()
    for text in re.findall(r'"[^"\n]*"', plain):
        assert text in named
    assert declared[-2:] == ["int digits_classify(const uint8_t input[64]);",
                             "extern const char *const digits_classes[5];"]
    assert all(f" *     {line}\n" in named for line in declared), "and in the comment at the top"
