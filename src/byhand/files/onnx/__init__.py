"""Networks in the format that nearly every other program reads: ONNX.

    bh.files.onnx.save(bh.load("digits.safetensors"), "digits.onnx", preprocessing=True)
    saved = bh.files.onnx.load("digits.onnx")

An ONNX file is a graph of operators, such as Conv and Gemm, and the weights that they take; phones, browsers and
servers run it without Python. `writing` turns our layers into operators, `reading` finds layers in the operators of a
file, ours or another program's. Extra `onnx`.
"""

from byhand.files.onnx.library import MissingOnnx  # first, for its sentence
from byhand.files.onnx.reading import load
from byhand.files.onnx.writing import save

__all__ = ["MissingOnnx", "load", "save"]
