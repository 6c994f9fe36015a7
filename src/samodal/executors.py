"""Processes that run clips side by side, each with its share of the cores and, where there are several, of the GPUs."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def clip_pool(workers: int, threads: int) -> ProcessPoolExecutor:
    """A pool of processes of so many threads each; device "cuda" means to each one the GPU of its turn.

    They are started afresh, not forked: the parent may hold a GPU or threads, which a forked child would break on.
    """
    context = get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_settle, initargs=(threads, context.Value("i", 0)))


def limit_threads(count: int) -> None:
    """Take no more than so many cores in this process."""
    import cv2
    import torch

    cv2.setNumThreads(count)
    torch.set_num_threads(count)


def _settle(threads: int, started) -> None:
    import torch

    limit_threads(threads)
    with started.get_lock():
        turn, started.value = started.value, started.value + 1
    if torch.cuda.device_count() > 1:
        torch.cuda.set_device(turn % torch.cuda.device_count())
