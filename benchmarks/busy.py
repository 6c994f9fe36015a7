"""The completer on a machine whose cores other programs use as well: threads that wait in a busy loop, as torch's do by
default, against those of samodal's command line, which are few and sleep.

    python benchmarks/busy.py

Other processes load every core. Workers take turns, each in a process of its own; medians and their ratio are printed.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

LONGEST_S = 10.0
"""Seconds of a round at most: threads that wait in a busy loop can take many for one call."""
BURN = "while True: pass"
OWN = ("OMP_", "GOMP_", "KMP_", "OPENBLAS_", "OPENCV_FOR_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=8, help="of the network, in each round")
    parser.add_argument("--worker", choices=["plain", "samodal"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        if given.worker == "samodal":
            from samodal.threads import begin_process

            begin_process()
        print(measure(given.calls))
        return
    print(f"{os.cpu_count()} cores, each loaded by another process")
    others = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(os.cpu_count() or 1)]
    try:
        rounds = [[run(name, given.calls) for name in ("plain", "samodal")] for _ in range(given.rounds)]
    finally:
        for other in others:
            other.kill()
    plain, ours = (median(times) for times in zip(*rounds, strict=True))
    ratio = median(a / b for a, b in rounds)
    print(f"eight crops: torch as it is {plain:.0f} ms, as samodal's command line {ours:.0f} ms, ratio {ratio:.1f}")


def run(name: str, calls: int) -> float:
    """Milliseconds of a call, in a process without variables about threads."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(OWN)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")
    command = [sys.executable, __file__, "--worker", name, "--calls", str(calls)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def measure(calls: int) -> float:
    """Median milliseconds of the completer for eight crops."""
    import torch

    from samodal.segmenters.completion import load

    network = load("streetsim-complete").to(memory_format=torch.channels_last)
    size = network.config.size
    layers = torch.rand(8, len(network.config.layers), size, size).to(memory_format=torch.channels_last)
    kinds, spent = torch.ones(8, dtype=torch.int64), []
    with torch.inference_mode():
        begun = perf_counter()
        while len(spent) < 2 or (len(spent) <= calls and perf_counter() - begun < LONGEST_S):
            start = perf_counter()
            network(layers, kinds)
            spent.append(1000 * (perf_counter() - start))
    return median(spent[1:])


if __name__ == "__main__":
    main()
