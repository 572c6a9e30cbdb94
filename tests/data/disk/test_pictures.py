"""Pictures and arrays of every kind that lies on disks: read to the exact value, or refused in one line."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.disk.making import image_of, save
from winnow.data.disk.arrays import read_npy
from winnow.data.disk.pictures import read_colours, read_image, read_labels, read_numbers
from winnow.data.sample import DataError


def png(path: Path, size: tuple[int, int], bits: int, colour: int, rows: bytes) -> Path:
    """Write a PNG by hand: Pillow writes no 16-bit colours and no 2-bit greys."""
    height, width = size

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    length = len(rows) // height
    lines = b"".join(b"\0" + rows[k * length : (k + 1) * length] for k in range(height))
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_of_few_bits_are_the_numbers_that_are_stored(tmp_path: Path, bits: int):
    values = np.random.default_rng(bits).integers(0, 2**bits, (4, 16))
    packed = np.packbits(((values[:, :, None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).reshape(4, -1), axis=1)
    path = png(tmp_path / "labels.png", (4, 16), bits, 0, packed.tobytes())
    assert np.array_equal(read_labels(path), values)


def test_labels_of_16_bits_and_of_a_palette_are_their_numbers(tmp_path: Path):
    values = np.random.default_rng(0).integers(0, 65536, (5, 7)).astype(np.uint16)
    assert np.array_equal(read_labels(save(tmp_path / "wide.png", values)), values)
    small = (values % 21).astype(np.uint8)
    picture = Image.fromarray(small, "L").convert("P")
    picture = Image.frombytes("P", (7, 5), small.tobytes())
    picture.putpalette([(37 * k) % 256 for k in range(768)])
    picture.save(tmp_path / "palette.png")
    assert np.array_equal(read_labels(tmp_path / "palette.png"), small)


def test_colours_of_16_bits_are_never_cut_to_8_in_silence(tmp_path: Path):
    values = np.random.default_rng(0).integers(0, 65536, (4, 5, 3)).astype(">u2")
    path = png(tmp_path / "deep.png", (4, 5), 16, 2, values.tobytes())
    for read in (read_image, read_colours):
        with pytest.raises(DataError, match="RGB, 16 bits"):
            read(path)
    assert np.abs(read_image(path, convert=True).astype(int) * 257 - values.astype(int)).max() <= 257


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGBA", "CMYK", "I;16"])
def test_other_modes_are_refused_and_converted_only_when_asked(tmp_path: Path, mode: str):
    grey = image_of(0, channels=1)
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(image_of(0)).convert(mode)
    path = tmp_path / ("it.tif" if mode == "CMYK" else "it.png")
    picture.save(path)
    with pytest.raises(DataError, match="must be RGB, 8 bits, got .* Set `convert = true`") as caught:
        read_image(path)
    assert len(str(caught.value).splitlines()) == 1
    assert read_image(path, convert=True).shape == (24, 32, 3)


def test_grey_images_are_read_as_grey(tmp_path: Path):
    grey = image_of(0, channels=1)
    assert np.array_equal(read_image(save(tmp_path / "a.png", grey), channels=1)[:, :, 0], grey)
    with pytest.raises(DataError, match="must be grey, 8 bits, got RGB, 8 bits"):
        read_image(save(tmp_path / "b.png", image_of(0)), channels=1)


def test_several_frames_other_formats_and_huge_pictures_are_refused(tmp_path: Path):
    frames = [Image.fromarray(image_of(k)) for k in range(2)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="one picture, got 2 frames"):
        read_image(tmp_path / "two.tif")
    frames[0].save(tmp_path / "it.gif")
    (tmp_path / "it.gif").rename(tmp_path / "it.png")
    with pytest.raises(DataError, match="a complete PNG, JPEG, BMP, TIFF, WEBP file"):
        read_image(tmp_path / "it.png")
    huge = png(tmp_path / "huge.png", (30_000, 30_000), 8, 0, bytes(30_000))
    with pytest.raises(DataError, match="one that cannot be read"):
        read_image(huge)


def test_arrays_come_in_any_order_of_bytes_and_axes(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    for stored in (values, np.asfortranarray(values), values.astype(">f8"), values.astype("<f4"), values.astype(">f2")):
        path = save(tmp_path / "it.npy", stored)
        found = read_npy(path)
        assert np.array_equal(found, stored)
        assert found.dtype.isnative
        assert found.flags.c_contiguous


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda p: np.save(p, np.array(["a", "b"])), "numbers, got <U1"),
        (lambda p: np.save(p, np.zeros(2, [("a", "f4")])), "must be numbers"),
        (lambda p: np.save(p, np.zeros(2, np.complex64)), "numbers, got complex64"),
        (lambda p: p.write_bytes(b"PK\x03\x04" + bytes(90)), "a .npy file, got a file that begins"),
        (lambda p: p.write_bytes(b"\x93NUMPY\x01"), "must be a .npy file"),
        (lambda p: p.write_bytes(b"\x93NUMPY\x09\x00" + bytes(80)), "1.0 or 2.0 of the .npy format"),
        (lambda p: p.write_bytes(b"\x93NUMPY\x01\x00\x0a\x00{'descr':1}"), "must be a .npy file"),
        (lambda p: p.mkdir(), "there, got no such file"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path: Path, write, says: str):
    write(tmp_path / "it.npy")
    with pytest.raises(DataError, match=says) as caught:
        read_npy(tmp_path / "it.npy")
    assert len(str(caught.value).splitlines()) == 1


def test_numbers_keep_their_type(tmp_path: Path):
    deep = np.random.default_rng(0).integers(0, 65536, (3, 4)).astype(np.uint16)
    assert read_numbers(save(tmp_path / "it.png", deep)).dtype == np.uint16
    real = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    assert np.array_equal(read_numbers(save(tmp_path / "it.tif", real)), real)
    with pytest.raises(DataError, match="without loss"):
        read_numbers(save(tmp_path / "it.jpg", np.zeros((8, 8), np.uint8)))


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif", "webp", "npy"])
def test_no_change_of_a_file_ends_in_another_error(tmp_path: Path, ending: str):
    path = save(tmp_path / f"it.{ending}", image_of(0, (12, 16)))
    content, generator = path.read_bytes(), np.random.default_rng(0)
    refused: list[str] = []
    for _ in range(120):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 1 + int(generator.integers(4))):
            changed[place] = generator.integers(256)
        path.write_bytes(bytes(changed[: int(generator.integers(1, len(content) + 1))]))
        try:
            assert read_image(path).shape[2] == 3
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 60
    assert max(len(said.splitlines()) for said in refused) == 1
