"""The kinds of files that are fuzzed: for each, what reads it, what is inside it, and good files to begin with."""

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from envelopes import inside_checkpoint, inside_gzip, inside_onnx, inside_png, inside_safetensors, inside_zip
from mutations import Open
from PIL import Image

import byhand as bh
from byhand import kernels, scalar
from byhand.callbacks import EarlyStopping, Schedule
from byhand.data import Normalize, read_idx, write_idx
from byhand.data.formats.arrays import read_npy
from byhand.doctor import Layer, Look, Measured, facts, in_words
from byhand.doctor.record import read, write
from byhand.files import ModelFileError, SavedModel, load_checkpoint, model_json, save_checkpoint
from byhand.assess import open_model
from byhand.files.scalar_json import write_scalar_json
from byhand.files.tensors import file_of, read_tensors
from byhand.look import model_facts, model_text
from byhand.pictures import find_many, prepare, read_picture
from byhand.recipes import open_run, run_recipe, sentence
from byhand.recipes.run import read_result

if find_spec("onnx"):
    import_module("byhand.files.onnx")  # before anybody looks at the clock
MOST_INPUTS = 4096  # numbers in a sample that a model is tried on


@dataclass(frozen=True)
class Kind:
    """`read` gets the path of a file and raises ValueError or OSError for a bad one; `seeds` gives good files by name;
    `envelope` opens one."""

    name: str
    read: Callable[[Path], Any]
    seeds: Callable[[], Iterator[tuple[str, bytes]]]
    envelope: Open | None = None
    file: str = "input"
    """What the file is called."""


# --- IDX --------------------------------------------------------------------------------------------------------------


def idx_files() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    arrays = {"labels": rng.integers(0, 10, 20).astype(np.uint8), "one": np.zeros((1, 1), np.int8),
              "images": rng.integers(0, 255, (3, 4, 5)).astype(np.uint8), "none": np.zeros((0, 28, 28), np.uint8),
              "real": rng.standard_normal((2, 3)).astype(np.float32), "five": np.zeros((1, 2, 1, 2, 1), np.int16)}
    with TemporaryDirectory() as folder:
        for name, array in arrays.items():
            for ending in ("", ".gz"):
                path = Path(folder, name + ending)
                write_idx(path, array)
                yield path.name, path.read_bytes()


# --- models -----------------------------------------------------------------------------------------------------------


def models() -> Iterator[tuple[str, SavedModel]]:
    rng = np.random.default_rng(0)
    nn = bh.nn
    networks = {
        "linear": (nn.Sequential(nn.Flatten(), nn.Linear(4, 2, rng)), (1, 2, 2)),
        "conv": (nn.Sequential(nn.Conv2d(1, 2, 3, rng, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
                               nn.Residual(nn.Conv2d(2, 2, 1, rng), nn.GELU()), nn.GlobalAvgPool2d(), nn.Flatten(),
                               nn.Dropout(0.1), nn.LayerNorm(2), nn.Linear(2, 2, rng)), (1, 6, 6)),
        "float64": (nn.Sequential(nn.Linear(3, 2, rng), nn.Tanh(), nn.Softmax()).to(np.float64), (3,)),
    }
    for name, (network, shape) in networks.items():
        yield name, SavedModel(network, shape, Normalize(mean=0.1, std=0.3), ("a", "b"), "mlp", {"test_accuracy": 0.5})


def model_files() -> Iterator[tuple[str, bytes]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model")
        for name, saved in models():
            bh.save(saved.model, path, input_shape=saved.input_shape, normalize=saved.normalize, classes=saved.classes,
                    recipe=saved.recipe, metrics=saved.metrics)
            yield name, path.read_bytes()


def half_files() -> Iterator[tuple[str, bytes]]:
    """The last of these in bfloat16, which is the upper half of float32."""
    *_, (_, content) = model_files()
    with TemporaryDirectory() as folder:
        path = Path(folder, "model")
        path.write_bytes(content)
        metadata, tensors = read_tensors(path)
    halves = {name: (array.astype("<f4").view("<u4") >> 16).astype("<u2") for name, array in tensors.items()}
    content = file_of({name: half.view("<f2") for name, half in halves.items()}, metadata)
    size = int.from_bytes(content[:8], "little")
    header = content[8:8 + size].replace(b'"F16"', b'"BF16"')
    yield "bfloat16", len(header).to_bytes(8, "little") + header + content[8 + size:]


def json_files() -> Iterator[tuple[str, bytes]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model")
        for name, saved in models():
            model_json.save(saved, path)
            yield name, path.read_bytes()


def read_model(path: Path) -> None:
    """Load it, and show it from inside, with what it says to an image."""
    saved = open_model(path)
    shape = saved.input_shape or (MOST_INPUTS,)
    if np.prod(shape, dtype=float) <= MOST_INPUTS:
        image = np.zeros(shape, np.uint8)
        try:
            with kernels.using("numpy"):  # nothing is compiled while the clock runs
                model_text(saved, model_facts(saved, path.name, image), image, 80)
        except ValueError as error:  # it need not fit together; but the file has been read, and is not named any more
            raise ModelFileError(f"{path}: {error}") from None


OPERATORS = {  # graphs of others: what goes in, and operators
    "lecture": ("float[N,1,4,4] x", """s = Constant<value_float=255.0>() a = Div(x, s) K = Constant<value=float[1,1,2,2]
        {1,2,3,4}>() b = Conv<pads=[1,1,1,1]>(a, K) c = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b) d = Shape(c)
        i = Constant<value_ints=[0]>() e = Gather(d, i) j = Constant<value_ints=[-1]>() t = Concat<axis=0>(e, j)
        f = Reshape(c, t) W = Constant<value=float[2,4] {1,2,3,4,5,6,7,8}>() b1 = Constant<value_floats=[0.5,0.25]>()
        y = Gemm<transB=1, alpha=0.5>(f, W, b1)"""),
    "classifier": ("float[N,2] x", """V = Constant<value=float[2,1] {1,2}>() a = MatMul(x, V) v = Constant
        <value_floats=[0.5]>() b = Add(a, v) p = Sigmoid(b) one = Constant<value_float=1.0>() q = Sub(one, p)
        r = Concat<axis=1>(q, p) m = ArgMax<axis=1>(r) y = Identity(r)"""),
    "activations": ("float[N,2] x", """r = Constant<value_float=1.4142135>() a = Div(x, r) b = Erf(a) one = Constant
        <value_float=1.0>() c = Add(b, one) d = Mul(x, c) h = Constant<value_float=0.5>() e = Mul(d, h) f = Sigmoid(e)
        g = Mul(e, f) k = Add(g, x) l = Elu<alpha=0.5>(k) t = Constant<value_float=20.0>() m = Softplus(l) n =
        Greater(l, t) o = Where(n, l, m) u = Dropout(o) y = Softmax<axis=-1>(u)"""),
    "largest": ("int32[N,2,2,2] x", """i = Identity(x) a = Cast<to=1>(i) b = Constant<value_float=2.0>() c = Mul(a, b)
        d = Softplus(c) e = Div(d, b) t = Constant<value_float=20.0>() f = Greater(c, t) g = Where(f, a, e) h = Constant
        <value_ints=[2,3]>() j = ReduceMax<keepdims=1>(g, h) k = Shape(j) l = Cast<to=6>(k) m = Constant<value_ints=[0]>
        () n = Gather(l, m) o = Cast<to=7>(n) p = Constant<value_ints=[-1]>() q = Concat<axis=0>(o, p) y =
        Reshape(j, q)"""),
}


def onnx_files() -> Iterator[tuple[str, bytes]]:
    import onnx

    with TemporaryDirectory() as folder:
        path = Path(folder, "model")
        for name, content in model_files():
            path.write_bytes(content)
            for inside in (False, True):
                bh.files.onnx.save(bh.load(path), path.with_suffix(".onnx"), preprocessing=inside)
                yield f"{name}{'-inside' * inside}", path.with_suffix(".onnx").read_bytes()
    for name, (given, operators) in OPERATORS.items():
        text = f'<ir_version: 8, opset_import: ["" : 18]> g ({given}) => (float[N,M] y) {{ {operators} }}'
        yield name, onnx.parser.parse_model(text).SerializeToString()


def read_onnx(path: Path) -> None:
    """As `read_model`, by the readable kernels, which are there at once."""
    with bh.kernels.using("numpy"):
        read_model(path)


def scalar_files() -> Iterator[tuple[str, bytes]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "net")
        for sizes in ([3, 2, 1], [2, 2]):
            write_scalar_json(scalar.Net(sizes, random.Random(0)), path)
            yield "-".join(map(str, sizes)), path.read_bytes()


# --- data of one's own ------------------------------------------------------------------------------------------------


def csv_files() -> Iterator[tuple[str, bytes]]:
    rows = [[i % 3, *((i * j) % 256 for j in range(64))] for i in range(12)]
    yield "digits", "\n".join([",".join(["label", *(f"pixel{j}" for j in range(64))]),
                               *(",".join(map(str, row)) for row in rows)]).encode()
    yield "flowers", b"length;width;kind\n" + b"\n".join(b"%d.5;-1e-2;%s" % (i, b"ab"[i % 2:][:1]) for i in range(9))
    yield "bare", b'"a, b",1,2.5\r\nc,3,4\r\nc,5,6\r\n"a, b",7,8\r\n'


def npy_files() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    arrays = {"bytes": rng.integers(0, 255, (6, 4, 4)).astype(np.uint8), "words": np.array(["cat", "dog"] * 3),
              "reals": np.asfortranarray(rng.standard_normal((6, 3))), "labels": np.arange(6, dtype=">i4") % 2}
    for name, array in arrays.items():
        content = io.BytesIO()
        np.save(content, array)
        yield name, content.getvalue()


def npz_files() -> Iterator[tuple[str, bytes]]:
    arrays = {name: np.load(io.BytesIO(content)) for name, content in npy_files()}
    for name, save, labels in (("stored", np.savez, "labels"), ("deflated", np.savez_compressed, "words")):
        content = io.BytesIO()
        save(content, x_train=arrays["bytes"], y_train=arrays[labels], x_test=arrays["bytes"], y_test=arrays[labels])
        yield name, content.getvalue()


# --- pictures ---------------------------------------------------------------------------------------------------------


def picture_files() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 255, (6, 5, 4)).astype(np.uint8), "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    for name, mode, form, options in (
            ("grey.png", "L", "PNG", {}), ("alpha.png", "RGBA", "PNG", {}), ("bits.png", "1", "PNG", {}),
            ("palette.png", "P", "PNG", {"transparency": 0}), ("deep.png", "I;16", "PNG", {}),
            ("colour.jpg", "RGB", "JPEG", {"exif": exif}), ("cmyk.jpg", "CMYK", "JPEG", {}),
            ("palette.gif", "P", "GIF", {}), ("colour.bmp", "RGB", "BMP", {}), ("real.tif", "F", "TIFF", {}),
            ("colour.webp", "RGB", "WEBP", {}), ("grey.pgm", "L", "PPM", {})):
        content = io.BytesIO()
        image = colours.convert("L").convert(mode) if mode in ("I;16", "F") else colours.convert(mode)
        image.save(content, form, **options)
        yield name, content.getvalue()


def digit_files() -> Iterator[tuple[str, bytes]]:
    """A digit of mini as a scan, in colour, and two of them on a sheet."""
    digit = np.pad(bh.data.load("mini").test.inputs[7, 0], 12)
    sheet = np.hstack([digit, digit[::-1]])
    colour = np.stack([255 - digit // 2] * 3, axis=-1)
    for name, array, form in (("scan.png", 255 - digit, "PNG"), ("ink.png", colour, "PNG"),
                              ("two.png", 200 - sheet // 2, "PNG"), ("photograph.jpg", 180 - sheet // 2, "JPEG")):
        content = io.BytesIO()
        Image.fromarray(array).save(content, form)
        yield name, content.getvalue()


def read_digits(path: Path) -> None:
    """Find one digit in it, and several."""
    picture = read_picture(path)
    find_many(picture, str(path))
    prepare(picture, str(path))


# --- runs -------------------------------------------------------------------------------------------------------------


def learn(**options: Any) -> bh.callbacks.Run:
    """Two epochs with all that remembers something from step to step."""
    rng = np.random.default_rng(0)
    model = bh.nn.Sequential(bh.nn.Linear(3, 4, rng), bh.nn.BatchNorm1d(4), bh.nn.ReLU(), bh.nn.Linear(4, 2, rng))
    samples = rng.standard_normal((12, 3)).astype(np.float32), np.arange(12) % 2
    return bh.fit(model, samples, loss=bh.losses.cross_entropy, optimizer=bh.optim.Adam(model.parameters()), rng=rng,
                  epochs=2, batch_size=4, validation=0.5,
                  callbacks=[EarlyStopping(1), Schedule(bh.schedules.Cosine())], **options)


def checkpoint_files() -> Iterator[tuple[str, bytes]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint")
        save_checkpoint(learn().state_dict(), path)
        yield "run", path.read_bytes()


def read_checkpoint(path: Path) -> None:
    """Load it, and go on from it, if it fits."""
    state = load_checkpoint(path)
    try:
        learn(resume=state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def run_files(name: str) -> Iterator[tuple[str, bytes]]:
    """A file of a run folder."""
    mini = bh.data.load("mini")
    few = bh.data.Splits(mini.train[::50], mini.test[::50], "mini")
    with TemporaryDirectory() as folder:
        run_recipe(bh.recipes.find("relu-10").having(epochs=1), few, seed=0, folder=Path(folder))
        yield "relu-10", Path(folder, name).read_bytes()


def measured_files() -> Iterator[tuple[str, bytes]]:
    layers = [Layer("layer '1' (Linear)", 0.1, 0.001), Layer("layer '2' (ReLU)", dead=0.9)]
    looks = [Look(0, 2.3, 0.1, 1.0, layers), Look(150, 2.2, 0.1, None)]
    run = Measured(4, 50, 1000, 200, 2.3, [90.0, 9.0], ["a", "b"], looks)
    history = [{"epoch": n, "loss": 2.0 / n, "accuracy": 0.9, "validation_loss": 2.0, "validation_accuracy": 0.5}
               for n in range(1, 5)]
    with TemporaryDirectory() as folder:
        path = Path(folder, "measurements")
        for name, measured in {"new": Measured(), "old": replace(run, history=history, ended=True)}.items():
            write(path, measured)
            yield name, path.read_bytes()


KINDS = {kind.name: kind for kind in (
    Kind("idx", read_idx, idx_files, inside_gzip),
    Kind("csv", bh.data.load, csv_files),
    Kind("npy", read_npy, npy_files),
    Kind("npz", bh.data.load, npz_files, inside_zip),
    Kind("picture", read_picture, picture_files, inside_png),
    Kind("digit", read_digits, digit_files, inside_png),
    Kind("model", read_model, lambda: chain(model_files(), half_files()), inside_safetensors),
    *([Kind("onnx", read_onnx, onnx_files, inside_onnx, file="input.onnx")] if find_spec("onnx") else []),
    Kind("scalar", read_model, scalar_files),
    Kind("json", read_model, json_files),
    Kind("measurements", lambda path: in_words(facts(str(path), read(path)), 80), measured_files),
    Kind("checkpoint", read_checkpoint, checkpoint_files, inside_checkpoint),
    Kind("config", lambda path: open_run(path.parent), lambda: run_files("config.json"), file="config.json"),
    Kind("result", lambda path: sentence(read_result(path.parent)), lambda: run_files("result.json"),
         file="result.json"),
)}
