"""Draw the losses in the log of a training as a small SVG, each of them over the steps and as a share of its first.

python scripts/loss_curve.py runs/train/savos.log.jsonl --out docs/results/savos-chewing-gum.svg
"""

import argparse
import json
from pathlib import Path

WIDTH, HEIGHT, EDGE = 640, 260, 44
COLOURS = ("#0b6", "#06c", "#c50", "#808")


def curve(lines: list[dict], names: list[str]) -> str:
    """The SVG of the lines of a log that have these losses.

    Args:
        lines: of the log, in order; those without losses, such as measurements, are left out.
        names: of the losses.
    """
    lines = [line for line in lines if all(name in line for name in names)]
    last = lines[-1]["step"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    top = max(line[name] / lines[0][name] for line in lines for name in names)
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = _y(share, top)
        parts.append(
            f'<path d="M{EDGE} {y:.1f}H{WIDTH - EDGE}" stroke="#ddd"/><text x="8" y="{y + 4:.1f}">{share}</text>'
        )
    for step in (0, last // 2, last):
        x = EDGE + (WIDTH - 2 * EDGE) * step / last
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{step:,}</text>')
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">steps; losses as shares of the first</text>'
    )
    for n, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        points = " ".join(
            f"{EDGE + (WIDTH - 2 * EDGE) * line['step'] / last:.1f},{_y(line[name] / lines[0][name], top):.1f}"
            for line in lines
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        text = f"{name}: {lines[0][name]:.3g} to {lines[-1][name]:.3g}"
        parts.append(f'<text x="{WIDTH / 2}" y="{20 + 16 * n}" fill="{colour}">{text}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _y(share: float, top: float) -> float:
    return HEIGHT - EDGE - (HEIGHT - 1.5 * EDGE) * share / top


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--losses", nargs="+", default=["reconstruction", "consistency"])
    parser.add_argument("--out", type=Path, required=True)
    settings = parser.parse_args()
    lines = [json.loads(line) for line in settings.log.read_text(encoding="utf-8").splitlines()]
    settings.out.write_text(curve(lines, settings.losses), encoding="utf-8")


if __name__ == "__main__":
    main()
