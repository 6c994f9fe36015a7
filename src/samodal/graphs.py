"""CUDA graphs: all kernels of a function started at once, where to start each takes longer than its work."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Any

import torch

from samodal.errors import InputError

LOCK = RLock()
"""Held by who gives work to a GPU: nothing else may ask it for memory while a graph is recorded."""
MOST = 24
"""Graphs of a function that are kept; each holds its inputs, and all share the memory of what is in between."""
WARM = 3
"""Calls before a graph is recorded: libraries choose their kernels then, and tables are made."""


def check_gpu(device: str | torch.device) -> None:
    """Refuse `--backend compiled` on another device than an NVIDIA GPU.

    Raises:
        InputError: says what to use instead.
    """
    if not str(device).startswith("cuda"):
        raise InputError(f"--backend compiled needs an NVIDIA GPU, and the device is {device}; use --backend torch")


class Graphs:
    """A function of tensors, recorded once for each shape of its inputs and played back from then on.

    What is recorded on a stream of higher priority keeps that. On other devices than an NVIDIA GPU the function is
    called as it is.

    Args:
        function: its work must not depend on the values of its inputs. It gives one tensor or a tuple of them.
        device: of all inputs.
    """

    def __init__(self, function: Callable[..., Any], device: torch.device):
        self._function, self._device = function, device
        self._known: OrderedDict[tuple, tuple[torch.cuda.CUDAGraph, list[torch.Tensor | None], Any]] = OrderedDict()
        self._pool: Any = None

    def __call__(self, *inputs: torch.Tensor | None) -> Any:
        """What the function gives. The tensors are written over by the next call.

        Args:
            inputs: tensors, on the device or to be copied there; None where one is left out.
        """
        if self._device.type != "cuda":
            return self._function(*inputs)
        key = tuple(None if value is None else (value.shape, value.dtype) for value in inputs)
        with LOCK:
            if key not in self._known:
                self._known[key] = self._recorded(inputs)
                while len(self._known) > MOST:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            graph, places, outputs = self._known[key]
            for place, value in zip(places, inputs, strict=True):
                if place is not None:
                    place.copy_(value, non_blocking=True)
            graph.replay()
        return outputs

    def _recorded(self, inputs: tuple) -> tuple[torch.cuda.CUDAGraph, list, Any]:
        places = [None if value is None else value.to(self._device, copy=True) for value in inputs]
        aside = torch.cuda.Stream(self._device)
        aside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self._function(*places)
        torch.cuda.current_stream(self._device).wait_stream(aside)
        torch.cuda.synchronize(self._device)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        if stream == torch.cuda.default_stream(self._device):  # on which nothing can be recorded
            stream = aside
        # The device may be another one than the current one, whose stream would be taken.
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"),
        ):
            outputs = self._function(*places)
        return graph, places, outputs
