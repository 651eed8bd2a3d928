"""The library of the format itself, or a sentence where it is not installed."""


class MissingOnnx(ImportError, ValueError):
    """The library that knows the format is not installed. Something a user can mend, so it is a ValueError too."""


try:
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import checker, helper, numpy_helper
except ImportError:
    raise MissingOnnx("ONNX files need the package onnx; pip install 'byhand[onnx]'.") from None

__all__ = ["DecodeError", "MissingOnnx", "checker", "helper", "numpy_helper", "onnx"]
