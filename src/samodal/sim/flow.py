"""AmodalSynthDrive's optical flow files: PNG with three channels of 16 bits, u, v and a mark for what is known.

value = p / 65535 * (695 + 1687) - 1687 pixels for u and v, p in 0..65535, as public readers of the data set decode
them. Pillow has no such pixels, so they are written here; filter 2 of the PNG specification, each row less the one
above.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

_LOW, _HIGH = -1687.0, 695.0


def write_flow(path: Path, flow: np.ndarray, valid: np.ndarray) -> None:
    """Write a flow field.

    Args:
        flow: (H, W, 2) float, pixels to the right and down from this frame to the next.
        valid: (H, W) bool; what is outside [-1687, 695] cannot be written and becomes invalid.
    """
    inside = valid & np.all((flow >= _LOW) & (flow <= _HIGH), axis=-1)
    coded = np.rint((np.where(inside[..., None], flow, 0.0) - _LOW) / (_HIGH - _LOW) * 65535)
    pixels = np.concatenate([coded, np.where(inside, 65535, 0)[..., None]], -1).astype(">u2")
    height, width = pixels.shape[:2]
    rows = pixels.view(np.uint8).reshape(height, -1)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    data = np.concatenate([np.full((height, 1), 2, np.uint8), rows - above], 1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(data, 6)) + _chunk(b"IEND", b"")
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
