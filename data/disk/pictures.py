"""Pictures from files: PNG, JPEG, BMP, TIFF and WebP through Pillow. Modes are told apart, none converted unasked.

Pillow reads a 16-bit colour PNG as 8 bits without a word, and does not compare the checksums of the pixels: the chunks
of a PNG file are looked at here (W3C, "Portable Network Graphics (PNG) Specification", 2nd edition, 5 and 11.2.2).
"""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from winnow.data.disk.arrays import read_npy, require_file
from winnow.data.sample import Array, DataError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")  # none that runs another program, as EPS does
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy")
DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, RuntimeError, MemoryError,
    struct.error, zlib.error, Warning, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise over a file that is cut off, changed or made to harm."""
LOSSY = "JPEG"
MODES = {"1": "black and white", "L": "grey", "P": "palette", "LA": "grey with alpha", "RGBA": "RGB with alpha"}
CHANNELS = {"RGB": 3, "L": 1}
ORIENTATION = 0x0112  # EXIF
SIGNATURE = b"\x89PNG\r\n\x1a\n"
AGAIN = "Copy the file again, or write it again."
CONVERT = "Set `convert = true` in dataset.toml, which brings images to 8 bits and drops alpha; or save it as {}."


def read_image(path: Path, channels: int = 3, convert: bool = False) -> Array:
    """Return an image, (H, W, channels): uint8 of a picture, or what a .npy holds, uint8 or float32 in [0, 1].

    With `convert`, grey, palette, alpha and 16 bits are brought to 8-bit RGB or grey: grey is repeated, alpha is
    dropped, RGB becomes grey by Pillow's weights, 16 bits are divided by 257 and rounded.

    Raises:
        DataError: the file is damaged, or an image of another kind.

    """
    if path.suffix.lower() == ".npy":
        return _image_array(path, channels)
    picture, bits = open_picture(path)
    wanted = "RGB" if channels == 3 else "L"
    if picture.getexif().get(ORIENTATION, 1) != 1:
        found = f"EXIF orientation {picture.getexif()[ORIENTATION]}"
        raise DataError(str(path), "image", "stored upright", found, "Rotate its pixels and drop the EXIF entry.")
    if (picture.mode != wanted or bits == 16) and not convert:
        found = f"{MODES.get(picture.mode, picture.mode)}, {bits} bits"
        raise DataError(str(path), "image", f"{wanted.replace('L', 'grey')}, 8 bits", found, CONVERT.format(wanted))
    return _converted(path, picture, wanted).reshape(picture.height, picture.width, channels)


def read_labels(path: Path) -> Array:
    """Return the values of a picture of one channel, or of a .npy of whole numbers, (H, W) int64.

    The values of a palette picture are its indices.

    Raises:
        DataError: the file is damaged, lossy, of several channels, or its numbers are not whole.

    """
    if path.suffix.lower() == ".npy":
        return whole_numbers(path, flat(path, read_npy(path)))
    picture, bits = open_picture(path)
    if picture.format == LOSSY:
        raise DataError(str(path), "labels", "stored without loss", "a JPEG", "Save them as PNG.")
    if picture.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
        found = f"{MODES.get(picture.mode, picture.mode)} (colours, no class numbers)"
        raise DataError(str(path), "labels", "of one channel", found, "Save the number of the class at each pixel.")
    values = np.asarray(picture).astype(np.int64)
    if picture.mode == "L" and bits < 8:  # Pillow spreads these over 0 … 255
        values //= 255 // (2**bits - 1)
    return values


def read_numbers(path: Path) -> Array:
    """Return a picture of one channel or a .npy, (H, W) as it is stored."""
    if path.suffix.lower() == ".npy":
        return flat(path, read_npy(path))
    picture, _ = open_picture(path)
    if picture.format == LOSSY or picture.mode not in ("L", "I", "I;16", "I;16B", "F"):
        found = f"{picture.format}, {MODES.get(picture.mode, picture.mode)}"
        raise DataError(str(path), "values", "a picture of one channel without loss, or a .npy", found)
    return np.asarray(picture)


def read_colours(path: Path) -> Array:
    """Return an 8-bit RGB picture without loss, (H, W, 3) uint8: coded directions."""
    picture, bits = open_picture(path)
    if picture.format == LOSSY or picture.mode != "RGB" or bits == 16:
        found = f"{picture.format}, {MODES.get(picture.mode, picture.mode)}, {bits} bits"
        raise DataError(str(path), "values", "an RGB picture of 8 bits without loss", found)
    return np.asarray(picture)


def whole_numbers(path: Path, values: Array) -> Array:
    """Return numbers that are whole as int64; a NaN, an infinity or a fraction is a `DataError`."""
    if values.dtype.kind == "f":
        wrong = ~(np.isfinite(values) & (values == np.round(values)))
        if wrong.any():
            place = tuple(int(k) for k in np.argwhere(wrong)[0])
            raise DataError(str(path), "labels", "whole numbers", f"{values[place]:.6g} at {place}")
    return values.astype(np.int64)


def flat(path: Path, values: Array) -> Array:
    """Return (H, W) of an array (H, W) or (H, W, 1)."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim != 2:
        raise DataError(str(path), "shape", "(height, width) or (height, width, 1)", values.shape)
    return values


def open_picture(path: Path) -> tuple[Image.Image, int]:
    """Return a picture, read to its end, and its bits per value: 1, 2, 4, 8, 16 or 32.

    Raises:
        DataError: there is no such file, or it is empty, cut off, damaged, of several frames, or of another format.

    """
    require_file(path)
    content = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            frames = getattr(picture, "n_frames", 1)
            picture.load()
    except DAMAGED as error:
        raise DataError(str(path), "content", f"a complete {', '.join(FORMATS)} file", _said(error), AGAIN) from error
    if frames > 1:
        raise DataError(str(path), "content", "one picture", f"{frames} frames", "Save each frame as a file.")
    if content.startswith(SIGNATURE):
        return picture, png_bits(path, content)
    return picture, {"1": 1, "I;16": 16, "I;16B": 16, "I": 32, "F": 32}.get(picture.mode, 8)


def _said(error: BaseException) -> str:
    said = str(error).split("<")[0].strip().rstrip(".") or type(error).__name__
    return f"one that cannot be read ({said})"


def _converted(path: Path, picture: Image.Image, wanted: str) -> Array:
    if picture.mode in ("I;16", "I;16B"):
        small = np.round(np.asarray(picture).astype(np.float64) / 257).astype(np.uint8)
        return np.repeat(small[:, :, None], 3, axis=2) if wanted == "RGB" else small
    if picture.mode in ("I", "F"):
        found = f"{MODES.get(picture.mode, picture.mode)}, 32 bits"
        raise DataError(str(path), "image", "of 8 or 16 bits", found, "Save it as .npy, float32 in [0, 1].")
    if picture.mode in ("LA", "RGBA", "PA"):
        picture = picture.convert("RGBA").convert("RGB")  # alpha is dropped, not blended
    return np.asarray(picture.convert(wanted))


def _image_array(path: Path, channels: int) -> Array:
    values = read_npy(path)
    values = values[:, :, None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[2] != channels:
        swapped = " Its axes are those of torch: move the first to the end." if values.shape[:1] == (channels,) else ""
        raise DataError(str(path), "shape", f"(height, width, {channels})", values.shape, swapped.strip())
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        raise DataError(str(path), "dtype", "uint8, or float in [0, 1]", values.dtype)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        place = tuple(int(k) for k in np.argwhere(wrong)[0])
        found = f"{values[place]:.6g} at {place}"
        raise DataError(str(path), "image", "finite and in [0, 1]", found, "Divide 8-bit values by 255.")
    return values.astype(np.float32)


def png_bits(path: Path, content: bytes) -> int:
    """Return the bits per value of a PNG file with this content.

    Raises:
        DataError: it is cut off, or a checksum is wrong.

    """
    place, bits = len(SIGNATURE), 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 4])
        end = place + 12 + length
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        if end > len(content):
            break
        if zlib.crc32(kind + data) != int.from_bytes(content[end - 4 : end]):
            name = kind.decode("ascii", "replace")
            raise DataError(str(path), "content", "a complete PNG file", f"a wrong checksum of chunk {name}", AGAIN)
        if kind == b"IHDR":
            bits = data[8]
        if kind == b"IEND":
            return bits
        place = end
    raise DataError(str(path), "content", "a complete PNG file", f"one cut off after {len(content)} bytes", AGAIN)
