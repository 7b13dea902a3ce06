"""What the first bytes of a JPEG, PNG or WebP file tell, read in microseconds and without decoding anything.

JPEG: ITU-T T.81, annex B (markers and segments); the orientation stands in the segment APP1 (CIPA DC-008, Exif).
PNG: W3C's PNG specification, third edition (IHDR, eXIf). WebP: RFC 9649 (VP8, VP8L and VP8X chunks) and RFC 6386.
Other formats are left to Pillow.
"""

import struct
from dataclasses import dataclass

from PIL import Image

_ORIENTATION = 0x0112  # Exif's tag
_END_OF = {"jpeg": b"\xff\xd9", "png": b"IEND"}
_TAIL = 1024  # a camera's thumbnail near the head of a JPEG has a closing marker of its own
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 .. SOF15 without DHT, JPG and DAC
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
_ALPHA_EXIF_ANIMATION = 0x10 | 0x08 | 0x02  # flags of VP8X
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@dataclass(frozen=True)
class Header:
    """One picture file.

    Attributes:
        kind: jpeg, png or webp.
        width: as stored, in pixels.
        height: as stored.
        channels: as stored: 1 grey (or a palette's index), 2 grey and alpha, 3 colour, 4 CMYK or colour and alpha.
        bits: per channel.
        plain: 8 bits or fewer, grey or colour, without palette, transparency or animation: what OpenCV decodes as
            everyone does.
        grey: without colour.
        progressive: a JPEG whose coefficients must all be in memory before the first pixel is known.
        orientation: Exif's, 1 to 8; 1 is as stored, and in a WebP that is not plain what has to be found out.
        complete: the mark that ends such a file is there, or it is as long as it says.
    """

    kind: str
    width: int
    height: int
    channels: int
    bits: int
    plain: bool
    grey: bool
    progressive: bool
    orientation: int
    complete: bool


def read_header(data: bytes) -> Header | None:
    """Return the header of a JPEG, PNG or WebP file, None of any other or of one that is damaged before it."""
    try:
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        return _webp(data) if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
    except (IndexError, struct.error):
        return None


def orientation(exif: bytes) -> int:
    """Return the orientation that an Exif block states; 1 where it states none or is damaged."""
    block = Image.Exif()
    try:
        block.load(exif)
        value = block.get(_ORIENTATION, 1)
    except Exception:  # of a damaged block Pillow raises whatever its parser meets
        return 1
    return value if value in range(1, 9) else 1


def _jpeg(data: bytes) -> Header | None:
    at, turned = 2, 1
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            if not width or not height:
                return None
            plain = bits == 8 and channels in (1, 3)
            progressive = marker in _PROGRESSIVE
            complete = _END_OF["jpeg"] in data[-_TAIL:]
            return Header("jpeg", width, height, channels, bits, plain, channels == 1, progressive, turned, complete)
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            turned = orientation(data[at + 4 : at + 2 + length])
        at += 2 + length
    return None


def _png(data: bytes) -> Header | None:
    if data[12:16] != b"IHDR":
        return None
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    if colour not in _PNG_CHANNELS or not width or not height:
        return None
    pixels = data.find(b"IDAT")
    clear = data.find(b"tRNS", 0, max(pixels, 0)) < 0
    turned, block = 1, data.find(b"eXIf")
    if block >= 0:
        (length,) = struct.unpack_from(">I", data, block - 4)
        turned = orientation(b"Exif\0\0" + data[block + 4 : block + 4 + length])
    plain = bits <= 8 and colour in (0, 2) and clear
    complete = _END_OF["png"] in data[-_TAIL:]
    channels = _PNG_CHANNELS[colour]
    return Header("png", width, height, channels, bits, plain, colour in (0, 4), False, turned, complete)


def _webp(data: bytes) -> Header | None:
    chunk, plain = data[12:16], True
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
    elif chunk == b"VP8L" and data[20] == 0x2F:
        (packed,) = struct.unpack_from("<I", data, 21)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        plain = not packed >> 28 & 1
    elif chunk == b"VP8X":
        plain = not data[20] & _ALPHA_EXIF_ANIMATION
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    else:
        return None
    complete = len(data) >= struct.unpack_from("<I", data, 4)[0] + 8
    return Header("webp", width, height, 3, 8, plain, False, False, 1, complete) if width and height else None
