"""How far the pixels of a mask are from its border."""

import numpy as np


def depth_inside(mask: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Distance of every pixel of a mask to the nearest one outside it, beyond the frame included.

    Args:
        mask: (H, W) bool, not empty.

    Returns:
        (h, w) float32 pixels over the mask's box and a rim of one pixel, 0 outside the mask; and x and y of the
        first of them in the frame, -1 where the rim lies outside it.
    """
    # Slower than OpenCV's, whose precise transform (version 5.0) gives other values when it is asked again, for one
    # driving mask in some 300, and with them another farthest pixel.
    from scipy.ndimage import distance_transform_edt

    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return distance_transform_edt(np.pad(box, 1)).astype(np.float32), (int(columns[0]) - 1, int(rows[0]) - 1)
