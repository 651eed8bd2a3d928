"""From a picture file to an array of bytes, whatever the file is.

A picture may be grey or coloured, of 1, 8 or 16 bits, transparent, or lying on its side with a note in it saying so.
All become the same: rows and columns of bytes, 0 for black and 255 for white. Pillow knows the formats. What is added
here is care, since a picture comes from anywhere: only formats that hold plain pixels are opened, the size that the
file claims is looked at before anything is decoded, and whatever is wrong becomes one sentence that names the file.
"""

import io
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Array = NDArray[Any]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pbm", ".pgm", ".ppm", ".pnm")
"""By these a folder's pictures are known; a file that is named reads by its content, whatever it is called."""
MOST_BYTES = 256 * 2**20
MOST_PIXELS = 64_000_000
LONGEST_SIDE = 20_000  # pixels

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it logs about odd files is not for standard error


def read_picture(source: str | os.PathLike[str] | bytes, name: str | None = None) -> Array:
    """The picture in a file, or in the bytes of one: uint8, (H, W) if it is grey and (H, W, 3), RGB, if not.

    It is turned upright as its EXIF note says. What is transparent becomes white, or black where all that can be seen
    is light. `name` is what messages call the picture; by default the path.
    Raises ValueError for what is no picture, damaged, animated or too large; OSError if the file cannot be read.
    """
    name = name or ("the picture" if isinstance(source, bytes) else os.fspath(source))
    content = source if isinstance(source, bytes) else _bytes_of(Path(source))
    if not content:
        raise ValueError(f"{name} is empty.")
    _check_size(len(content), name)
    with warnings.catch_warnings():  # Pillow's remarks on odd files; what matters of them is asked below
        warnings.simplefilter("ignore")
        image = _decoded(content, name)
        try:
            return _to_array(image)
        except MemoryError:
            raise
        except Exception:  # such as a colour beyond the palette
            raise ValueError(f"{name} is damaged: its pixels have colours that there are not.") from None


def pictures_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The picture files directly in a folder, by their endings, sorted by name; hidden ones are left out."""
    return sorted(path for path in Path(folder).iterdir()
                  if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file())


def _bytes_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file.")
    _check_size(path.stat().st_size, str(path))
    try:
        return path.read_bytes()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None  # a disk's own errors name no file


def _check_size(size: int, name: str) -> None:
    if size > MOST_BYTES:
        raise ValueError(f"{name} is larger than {MOST_BYTES // 2**20} MiB; save it as a smaller picture.")


def _decoded(content: bytes, name: str) -> "Image":
    """The picture, upright. Its decoders raise nearly everything on rubbish, so everything is caught."""
    from PIL import Image, ImageOps

    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)  # reads the header alone
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # a camera's JPEG with a preview in it
    except Image.DecompressionBombError:
        raise ValueError(f"{name} has more than {MOST_PIXELS:,} pixels; make it smaller.") from None
    except Exception:
        raise ValueError(f"{name} is not a picture that can be read; save it as PNG or JPEG.") from None
    width, height = image.size
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise ValueError(f"{name} has {width:,} x {height:,} pixels; at most {MOST_PIXELS:,} are read, and "
                         f"{LONGEST_SIDE:,} in a row, so make it smaller.")
    if any(tile[0] == "libtiff" for tile in image.tile):  # which says on standard error what it thinks of a file
        raise ValueError(f"{name} is a TIFF file with compression, which is not read; save it as PNG or JPEG.")
    if frames > 1:
        raise ValueError(f"{name} holds {frames:,} pictures, an animation or pages; save the one that is meant.")
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:
        raise ValueError(f"{name} is damaged or cut off: its picture cannot be decoded.") from None
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a note that makes no sense is no note
        return image


def _to_array(image: "Image") -> Array:
    if image.mode == "F":
        numbers = np.nan_to_num(np.asarray(image), posinf=0.0, neginf=0.0)
        low, high = float(numbers.min()), float(numbers.max())
        return np.rint((numbers - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    if image.mode.startswith("I"):  # 16 bits, also where Pillow keeps them in 32
        return np.rint(np.clip(np.asarray(image), 0, 65535) / np.float32(257)).astype(np.uint8)
    grey = image.mode in ("1", "L", "LA", "La")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = _on_paper(_of_mode("RGBA", image))
    return np.array(_of_mode("L" if grey else "RGB", image))


def _of_mode(mode: str, image: "Image") -> "Image":
    """Pillow's `convert`, without the copy where nothing is to be converted."""
    return image if image.mode == mode else image.convert(mode)


def _on_paper(image: "Image") -> "Image":
    """A transparent picture, RGBA, on white; on black if nearly all that can be seen is light: a light ink."""
    from PIL import Image

    alpha = image.getchannel("A")
    seen = np.cumsum(image.convert("L").histogram(alpha.point(lambda a: 255 if a >= 64 else 0)))
    darkest = int(np.searchsorted(seen, 0.01 * seen[-1], side="right"))  # only 1 % of what is seen is darker
    paper = Image.new("RGB", image.size, "black" if seen[-1] and darkest > 127 else "white")
    paper.paste(image, mask=alpha)
    return paper
