"""The text of the C file: what a person should know first, then the weights, the layers, and the network."""

import math
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from byhand.files.c.program import Look, Program, Step, by
from byhand.files.model import SavedModel
from byhand.terminal import counted, short

Array = np.ndarray[Any, Any]
WIDTH = 110


@cache
def library() -> dict[str, str]:
    """The functions and types of `layers.c`, each with the comment above it, by name."""
    text = Path(__file__).with_name("layers.c").read_text(encoding="utf-8")
    found = {}
    for block in text.strip().split("\n\n")[1:]:  # the first is the comment at its top
        name = re.search(r"^static .*?(\w+)\(|^} (\w+);|^#define (\w+)", block, re.MULTILINE)
        assert name is not None, block
        found[name[1] or name[2] or name[3]] = block
    return found


def source(saved: SavedModel, program: Program, name: str | None) -> str:
    """The whole file, its names under this one. Raises ValueError for numbers that are not finite in float32."""
    classifies = answers_with_a_class(saved, program)
    can = declarations(saved, program)
    constants = [constant(name, array) for name, array in program.arrays.items()]
    looks = [look_of(name, look) for name, look in program.looks.items()]
    used = {step.function for step in program.steps} | {"BYHAND_FLASH"}
    used |= {"window", "first_inside", "end_inside"} if looks else set()
    used |= {"quantize"} if program.eight_bits else set()
    used |= {"largest_of"} if classifies and program.output.size > 1 else set()
    blocks = {name: block for name, block in library().items() if name in used}
    code = "\n\n".join([
        "#include <math.h>\n#include <stdint.h>",
        f"#define BYHAND_INPUTS {program.input.size}\n#define BYHAND_OUTPUTS {program.output.size}",
        "\n".join(also_cpp(can)),
        *([names_of(saved.classes)] if classifies and saved.classes else []),
        "/* --- the weights --- */", blocks.pop("BYHAND_FLASH"), *constants, "/* --- the layers --- */",
        *([blocks.pop("window")] if looks else []), *looks, work_memory(program), *blocks.values(),
        "/* --- the network --- */", network(program), *entrances(program, can)])
    return f"{heading(saved, program, [under(name, line, program) for line in can])}\n\n{under(name, code, program)}\n"


def answers_with_a_class(saved: SavedModel, program: Program) -> bool:
    """Whether the outputs are a number for each class, or one that tells two apart. Several sigmoids without names may
    each be a yes or no by itself."""
    outputs = program.output.size
    known = len(saved.classes) == (2 if outputs == 1 else outputs)
    unnamed = not saved.classes and outputs > 1 and not ends_in_sigmoid(program)
    return len(program.output.shape) == 1 and (known or unnamed)


def ends_in_sigmoid(program: Program) -> bool:
    """Whether the outputs are from 0 to 1 each, so that a single one tells two classes apart at a half, and not at 0 as
    a logit does."""
    return bool(program.steps) and program.steps[-1].function == "sigmoid"


# --- names ------------------------------------------------------------------------------------------------------------

KEYWORDS = {"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
            "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed",
            "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while"}


def check_name(name: str | None) -> None:
    """Raises ValueError for what cannot be a name in C, or is one that the language keeps for itself."""
    if name is not None and (not isinstance(name, str) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
                             or name in KEYWORDS):
        raise ValueError(f"{short(repr(name))} is no name in C, which is a word like digits or net_2: letters from a "
                         "to z, digits and _, a letter first, and no word of the language's own.")


def under(name: str | None, code: str, program: Program) -> str:
    """The same code with all that has a name outside its functions under this one, so that a program can have several
    networks, even in one file: digits_predict, digits_classes, digits_INPUTS. Macros keep the case of the name,
    or those of digits and Digits would be the same. Texts and comments stay as they are."""
    if name is None:
        return code
    own = {*library(), *program.arrays, *program.looks, *program.buffers, "quantized", "network", "predict",
           "predict_bytes"}

    def named(found: re.Match[str]) -> str:
        word = found[0]
        ours = word in own or word.startswith(("byhand_", "BYHAND_"))
        return f"{name}_{re.sub('^(byhand|BYHAND)_', '', word)}" if ours else word

    return re.sub(r'/\*.*?\*/|"[^"]*"|\b[A-Za-z]\w*', named, code, flags=re.DOTALL)


# --- what a person should know ----------------------------------------------------------------------------------------


def heading(saved: SavedModel, program: Program, can: list[str]) -> str:
    """The comment at the top."""
    shape, outputs = program.input.shape, program.output.size
    order = ", channel by channel and row by row" if len(shape) == 3 else ""
    normalized = "; they are normalized here" if saved.normalize is not None else ""
    answer = counted(outputs, "number")
    if answers_with_a_class(saved, program):
        several = ", one for each class;" if saved.classes else "; if these are classes,"
        border = "0.5" if ends_in_sigmoid(program) else "0"
        answer += f"; above {border} means the second class" if outputs == 1 else f"{several} the largest wins"
    facts = [("Reads", f"{counted(program.input.size, 'number')}{order}, as they are in the data{normalized}."),
             ("Answers", f"{answer}."), ("Classes", ", ".join(saved.classes) or "not named."),
             ("Accuracy", accuracy(saved)), ("Memory", memory(program))]
    lines = ["A neural network in C99, written by byhand.", "", f"    {by(shape):<16} is read"]
    for row in saved.model.layer_rows(shape):
        lines += textwrap.wrap(f"{by(row.output):<16} {row.layer!r}", WIDTH - 3, initial_indent=" " * 4,
                               subsequent_indent=" " * 25)
    lines.append("")
    for label, value in facts:
        lines += textwrap.wrap(in_a_comment(value), WIDTH - 3, initial_indent=label.ljust(10),
                               subsequent_indent=" " * 10, break_on_hyphens=False)
    lines += ["", "Include this file in another one, or compile it by itself and declare in the other one:", ""]
    lines += [f"    {line}" for line in also_cpp(can)]
    lines += ["", *textwrap.wrap(
        "It needs math.h (link with -lm) and nothing else, and allocates nothing. What it works in is static, so one "
        "prediction has to end before the next begins. The weights come first; the layers, and the network that calls "
        "them, are at the end of the file.", WIDTH - 3)]
    return "\n".join(["/*", *[f" * {line}".rstrip() for line in lines], " */"])


def accuracy(saved: SavedModel) -> str:
    """What was measured, if anything was."""
    measured = saved.metrics.get("test_accuracy")
    before = saved.metrics.get("float_test_accuracy")
    said = f"{100 * measured:.2f} % of its test samples" if isinstance(measured, float) else "not measured"
    if isinstance(before, float):
        said += f"; {100 * before:.2f} % with weights in floating point"
    return f"{said}{f' (recipe {saved.recipe})' if saved.recipe else ''}."


def memory(program: Program) -> str:
    """How much of which kind it needs."""
    weights = sum(in_c(array).nbytes for array in program.arrays.values())
    work = 4 * sum(program.buffers.values()) + program.eight_bits
    return f"{weights:,} bytes for the weights, which may lie in flash, and {work:,} bytes of RAM to work in."


def in_a_comment(text: str) -> str:
    """A name from anybody, in which a comment cannot end, nor anything else begin."""
    plain = "".join(c if " " <= c <= "~" and c != "\\" else "." for c in text)
    return re.sub(r"(?<=\?)\?|(?<=\*)/|(?<=/)\*", r" \g<0>", plain)


# --- constants --------------------------------------------------------------------------------------------------------


def names_of(classes: tuple[str, ...]) -> str:
    """The names of the classes, in UTF-8."""
    literals = ", ".join(text_literal(name).replace(" ", "\0") for name in classes)  # whose own blanks end no line
    rows = [row.replace("\0", " ") for row in textwrap.wrap(literals, WIDTH - 4, break_long_words=False,
                                                           break_on_hyphens=False)]
    return f"const char *const byhand_classes[{len(classes)}] = {{\n" + "".join(f"    {row}\n" for row in rows) + "};"


def text_literal(text: str) -> str:
    """A string in C. What is not a plain letter, digit or sign is written as the number of its byte."""
    plain = "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
                    for byte in text.encode(errors="replace"))
    return f'"{plain}"'


def constant(name: str, array: Array) -> str:
    """An array of weights. Each output's weights begin on a line of their own."""
    numbers = in_c(array)
    kind = "int8_t" if numbers.dtype == np.int8 else "float"
    if kind == "float" and not np.isfinite(numbers).all():
        raise ValueError(f"{name} has a number that is infinite or none at all, which C cannot write down: the network "
                         "was saved after training had failed, or its numbers are too large for float32.")
    words = [f"{word}f" for word in numbers.ravel().astype(str)] if kind == "float" else numbers.ravel().astype(str)
    width = math.prod(array.shape[1:]) if array.ndim > 1 else array.size
    rows = [", ".join(words[start:start + width]) for start in range(0, len(words), width)]
    lines = [f"    {line}" for row in rows for line in textwrap.wrap(f"{row},", WIDTH - 4)]
    size = " * ".join(map(str, array.shape))
    return f"static const BYHAND_FLASH {kind} {name}[{size}] = {{\n" + "\n".join(lines) + "\n};"


def in_c(array: Array) -> Array:
    """Its numbers as they are in C: bytes, or float32."""
    with np.errstate(all="ignore"):
        return array if array.dtype == np.int8 else array.astype(np.float32)


def number(value: Any) -> str:
    """An argument: a whole number or a name as it is, another number as a float."""
    if not isinstance(value, float):
        return str(value)
    if abs(value) > float(np.finfo(np.float32).max):
        raise ValueError(f"a setting of the network is {value:g}, which is too large for float32.")
    return f"{np.float32(value)!s}f"


def look_of(name: str, look: Look) -> str:
    """How a filter or a pool is laid over a picture."""
    size, stride, padding, dilation = look.window
    rows = [(look.picture, "channels, rows and columns of what is read"),
            (look.output, "of what is written"), (size, "rows and columns of the window"), (stride, "stride"),
            (padding, "padding"), (dilation, "dilation"), ((look.groups,), "groups")]
    lines = [f"    {', '.join(map(str, values))}{',' if comment != 'groups' else ''}".ljust(20) + f"/* {comment} */"
             for values, comment in rows]
    return f"static const window {name} = {{\n" + "\n".join(lines) + "\n};"


def work_memory(program: Program) -> str:
    """The arrays that the steps read and write."""
    arrays = [("float", name, size) for name, size in program.buffers.items()]
    arrays += [("int8_t", "quantized", program.eight_bits)] if program.eight_bits else []
    defines = [f"#define BYHAND_{name.upper()} {size}" for _, name, size in arrays]
    return "\n".join(["/* What the layers read and write. */", *defines,
                      *[f"static {kind} {name}[BYHAND_{name.upper()}];" for kind, name, _ in arrays]])


# --- the network ------------------------------------------------------------------------------------------------------


def network(program: Program) -> str:
    """The function that goes through all steps."""
    lines = ["/* The network, for inputs that are in memory already. */", "static void network(float logits[])", "{"]
    for step in program.steps:
        lines += [f"    /* {step.title} */", *call(step)]
    return "\n".join([*lines, "}"])


def call(step: Step) -> list[str]:
    """One step: a call, or a loop of calls."""
    places = [*step.reads, step.writes]
    if step.rows == 1:
        return [f"    {step.function}({', '.join([*[m.buffer for m in places], *map(number, step.arguments)])});"]
    at = [f"{m.buffer} + row * {m.size // step.rows}" for m in places]
    return [f"    for (int row = 0; row < {step.rows}; row++)",
            f"        {step.function}({', '.join([*at, *map(number, step.arguments)])});"]


def declarations(saved: SavedModel, program: Program) -> list[str]:
    """What others can use: two or three functions, and the names of the classes."""
    inputs, outputs = program.input.size, program.output.size
    pictures, classifies = len(program.input.shape) == 3, answers_with_a_class(saved, program)
    lines = [f"void predict(const float input[{inputs}], float logits[{outputs}]);"]
    if pictures:
        lines.append(f"void predict_bytes(const uint8_t input[{inputs}], float logits[{outputs}]);")
    if classifies:
        lines.append(f"int byhand_classify(const {'uint8_t' if pictures else 'float'} input[{inputs}]);")
    if classifies and saved.classes:
        lines.append(f"extern const char *const byhand_classes[{len(saved.classes)}];")
    return lines


def also_cpp(lines: list[str]) -> list[str]:
    """The declarations as both C and C++ read them: C++ would look for functions under longer names of its own."""
    guard = "#ifdef __cplusplus"
    return [guard, 'extern "C" {', "#endif", *lines, guard, "}", "#endif"]


def entrances(program: Program, can: list[str]) -> list[str]:
    """The bodies of these functions."""
    start = program.input.memory.buffer
    single = f"logits[0] > {'0.5f' if ends_in_sigmoid(program) else '0'}"
    answer = single if program.output.size == 1 else "largest_of(logits, BYHAND_OUTPUTS)"
    runs = ["for (int i = 0; i < BYHAND_INPUTS; i++)", f"    {start}[i] = input[i];", "network(logits);"]
    predict = "predict_bytes" if any("predict_bytes" in line for line in can) else "predict"
    bodies = {
        "void predict(": ("The outputs for one sample, as SavedModel.predict gives them in Python.", runs),
        "void predict_bytes(": ("The same for a picture in bytes, 0 to 255.", runs),
        "int byhand_classify(": ("The number of the class, from 0.", [
            "float logits[BYHAND_OUTPUTS];", f"{predict}(input, logits);", f"return {answer};"]),
    }
    return ["\n".join([f"/* {comment} */", line.rstrip(";"), "{", *[f"    {part}" for part in body], "}"])
            for line in can for begin, (comment, body) in bodies.items() if line.startswith(begin)]
