"""SAM's attention with decomposed relative positions in four forms, and its image encoder with two of them.

    python benchmarks/attention.py                                # ViT-B at 1024x1024 on an NVIDIA GPU
    python benchmarks/attention.py --device cpu --size tiny       # whether it runs

`none` leaves relative positions out. `bias` writes one value for each pair of patches. `channels` makes them channels
of queries and keys, as `GridAttention.folded` does. `flex` is torch's FlexAttention. Medians of 20 calls; encoders are
timed as CUDA graphs.
"""

import argparse
import copy
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
import torch.nn.functional as F

from samodal.experiments.machine import machine
from samodal.graphs import Graphs
from samodal.segmenters.sam import AmodalSam, AmodalSamConfig


def milliseconds(work: Callable[[], object], device: torch.device, calls: int = 20) -> float:
    """Median of the calls after three to grow warm."""
    spent = []
    for _ in range(3 + calls):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        spent.append(1000 * (perf_counter() - start))
    return median(spent[3:])


def attention(form: str, grid: tuple[int, int, int], heads: int, channels: int, device: torch.device) -> Callable:
    """A call of one layer's attention on (windows, height, width)."""
    windows, height, width = grid
    kind = torch.float16 if device.type == "cuda" else torch.float32
    shape = (windows, heads, height * width)
    queries, keys, values = (torch.randn(*shape, channels, device=device, dtype=kind) for _ in range(3))
    rows, columns = (torch.randn(*shape, side, device=device, dtype=kind) for side in (height, width))
    if form == "none":
        return lambda: F.scaled_dot_product_attention(queries, keys, values)
    if form == "bias":
        return lambda: F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=(rows.unflatten(3, (-1, 1)) + columns.unflatten(3, (1, -1))).flatten(3)
        )
    if form == "channels":
        spare = torch.zeros(*shape, -(channels + height + width) % 8, device=device, dtype=kind)
        wide = [torch.cat([part, rows, columns, spare], -1) for part in (queries, keys)]
        return lambda: F.scaled_dot_product_attention(*wide, values, scale=1.0)
    from torch.nn.attention.flex_attention import flex_attention

    flex = torch.compile(flex_attention, dynamic=False)
    return lambda: flex(queries, keys, values, score_mod=lambda score, b, h, q, k:
                        score + rows[b, h, q, k // width] + columns[b, h, q, k % width])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="vit_b")
    given = parser.parse_args()
    device, config = torch.device(given.device), AmodalSamConfig.named(given.size)
    on_gpu = device.type == "cuda"
    print(f"{machine(given.device)}, {given.size}")
    padded = [-(-side // config.window) for side in config.grid]
    grids = {"all patches": (1, *config.grid), "windows": (padded[0] * padded[1], config.window, config.window)}
    for form in ("none", "bias", "channels", *(["flex"] if on_gpu else [])):
        for name, grid in grids.items():
            call = attention(form, grid, config.heads, config.hidden // config.heads, device)
            print(f"attention {form:<10}{name:<14}{milliseconds(call, device):8.3f} ms", flush=True)
    model = AmodalSam.initialise(config, 0).eval().to(device)
    rows = [(torch.float32, False, False, 1)]
    if on_gpu:
        half = torch.float16
        rows += [(half, False, False, 1), (half, True, False, 1), (half, False, True, 1)]
        rows += [(half, True, True, count) for count in (1, 4, 8)]
    for kind, folded, compiled, count in rows:
        encoder = copy.deepcopy(model.vision_encoder).to(kind)
        if folded:
            encoder.fold()
        graphs = Graphs(torch.compile(encoder, dynamic=False) if compiled else encoder, device)
        pixels = torch.randn(count, 3, *config.size, device=device)
        with torch.inference_mode():
            spent = milliseconds(lambda graphs=graphs, pixels=pixels: graphs(pixels), device) / count
        words = f"{str(kind).removeprefix('torch.')}, {'channels' if folded else 'bias'}" + ", compiled" * compiled
        print(f"encoder {words}, {count} at once: {spent:.2f} ms a frame", flush=True)


if __name__ == "__main__":
    main()
