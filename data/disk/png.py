"""The chunks of a PNG file: whether it is whole, and how many bits it stores per value.

Pillow reads a 16-bit colour PNG as 8 bits without a word, and does not compare the checksums of the pixels.

Source: W3C, "Portable Network Graphics (PNG) Specification", 2nd edition, chapters 5 and 11.2.2.
"""

import zlib
from pathlib import Path

from winnow.data.sample import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
AGAIN = "Copy the file again, or write it anew."


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
            raise DataError(str(path), "content", "a whole PNG file", f"a wrong checksum of chunk {name}", AGAIN)
        if kind == b"IHDR":
            bits = data[8]
        if kind == b"IEND":
            return bits
        place = end
    raise DataError(str(path), "content", "a whole PNG file", f"one cut off after {len(content)} bytes", AGAIN)
