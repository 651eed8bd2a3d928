"""The race as ONNX Runtime runs it, which only answers and never learns: a session on the network in the ONNX format.

The network is written node by node from byhand's, with the same weights. ONNX Runtime joins what can be joined
(convolution and relu) when the session starts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from byhand.bench.networks import IMAGE
from byhand.bench.turns import Turn, median_time, seconds
from byhand.bench.work import Array
from byhand.nn import Conv2d, Flatten, Linear, MaxPool2d, Module

BATCH = 100  # images at a time: the fastest of 100, 250, 500, 1,000 and all


def as_onnx(model: Module) -> bytes:
    """A chain of convolutions, poolings, linear layers and relus in the ONNX format."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [], []
    for number, row in enumerate(model.layer_rows(IMAGE)):
        layer, inputs, output = row.layer, [f"x{number}"], [f"x{number + 1}"]
        for name in ("weight", "bias") if isinstance(layer, Conv2d | Linear) else ():
            inputs.append(f"{number}.{name}")
            weights.append(numpy_helper.from_array(np.ascontiguousarray(getattr(layer, name).data), inputs[-1]))
        if isinstance(layer, Conv2d):
            (rows, columns) = layer.window.padding
            nodes.append(helper.make_node("Conv", inputs, output, strides=layer.window.stride,
                                          pads=[rows, columns, rows, columns]))
        elif isinstance(layer, MaxPool2d):
            nodes.append(helper.make_node("MaxPool", inputs, output, kernel_shape=layer.window.size,
                                          strides=layer.window.stride))
        elif isinstance(layer, Linear):
            nodes.append(helper.make_node("Gemm", inputs, output, transB=1))
        else:
            nodes.append(helper.make_node("Flatten" if isinstance(layer, Flatten) else "Relu", inputs, output))
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["N", *IMAGE])],
        [helper.make_tensor_value_info(f"x{len(nodes)}", TensorProto.FLOAT, ["N", 10])], weights)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
                 .SerializeToString())


def session(model: Module, threads: int) -> Any:
    """A session that runs the network with so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(as_onnx(model), options, providers=["CPUExecutionProvider"])


def one_image(model: Module, images: Array, threads: int) -> Turn:
    """The time from one image to its answer."""
    run = session(model, threads).run
    calls: list[Callable[[], object]] = [lambda image=images[i:i + 1]: run(None, {"x0": image})  # type: ignore[misc]
                                         for i in range(len(images))]
    return lambda: median_time(calls)


def many_images(model: Module, images: Array, threads: int) -> Turn:
    """All answers."""
    run = session(model, threads).run
    return lambda: seconds(lambda: np.concatenate([run(None, {"x0": images[i:i + BATCH]})[0]
                                                   for i in range(0, len(images), BATCH)]))
