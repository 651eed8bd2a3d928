"""What ONNX Runtime answers, beside what byhand makes of the same file."""

import numpy as np
import pytest

import byhand as bh


def run(path, x):
    """What ONNX Runtime answers: the last output, as an array."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answer = session.run(None, {session.get_inputs()[0].name: x})[-1]
    return np.array([list(row.values()) for row in answer]) if isinstance(answer, list) else answer


def assert_same_answers(path, x):
    """The model in a file, after its answers have been compared."""
    saved = bh.files.onnx.load(path)
    found, expected = saved.predict(x), run(path, x)
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-5, atol=1e-5)
    return saved
