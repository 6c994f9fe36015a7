"""Point trackers follow points through frames of one size."""

from samodal.errors import InputError


def check_size(size: tuple[int, int], before: tuple[int, int] | None, t: int) -> None:
    """Refuse a frame whose size differs from the frames before.

    Args:
        size: (H, W) of frame t.
        before: (H, W) of the frames before; None where there are none.

    Raises:
        InputError: if the two differ.
    """
    if before not in (None, size):
        raise InputError(f"frame {t} is {size} and the ones before {before}; reset the tracker between videos")
