"""Models that others publish on the Hugging Face hub and this package runs: what for, how large, on what terms.

The order is that in which `--vis best` looks for them (`samodal.frontends.best`): first what was taught on pictures
from cars, then what was taught on anything, larger before smaller. None of them was measured here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from samodal.checkpoints.files import SHIPPED, changed, shipped_path
from samodal.checkpoints.hub import cached, damaged, fetch
from samodal.errors import InputError, nearest
from samodal.registry import hanging

MODEL = ("*.json", "*.safetensors")
"""Files of a model as transformers saves it."""
CITYSCAPES = "other; see its card. Cityscapes, which it was taught on, is not for commercial use"
CARD = "other; see its card"


@dataclass(frozen=True)
class Published:
    """A model.

    Attributes:
        use: what it is for, as it stands on the command line; NAME is its name.
        licence: of the weights.
        megabytes: about, by its published number of parameters.
        why: the reason to take it as front end for road users; "" where `--vis best` never does.
        gpu: whether it is too slow without a GPU.
        transformers: the least version that runs it.
        files: patterns of what is fetched.
    """

    use: str
    licence: str
    megabytes: int
    why: str = ""
    gpu: bool = False
    transformers: tuple[int, int] = (5, 0)
    files: tuple[str, ...] = MODEL

    @property
    def front_end(self) -> str:
        """The front end that runs it."""
        return self.use.removeprefix("--vis ").partition(":")[0]


HUB = {
    "facebook/mask2former-swin-large-cityscapes-instance": Published(
        "--vis mask2former:NAME", CITYSCAPES, 870, "taught on pictures from cars, riders told from persons", gpu=True
    ),
    "facebook/sam3": Published(
        "--vis sam3_video:NAME", "SAM License: Meta's own terms, which bar military use among others; gated", 3400,
        "finds what words name and follows it through the video", gpu=True, transformers=(5, 23),
    ),
    "facebook/mask2former-swin-small-cityscapes-instance": Published(
        "--vis mask2former:NAME", CITYSCAPES, 280, "taught on pictures from cars, riders told from persons"
    ),
    "facebook/mask2former-swin-tiny-cityscapes-instance": Published(
        "--vis mask2former:NAME", CITYSCAPES, 190, "taught on pictures from cars, riders told from persons"
    ),
    "Roboflow/rf-detr-seg-medium": Published(
        "--vis rf_detr:NAME", "Apache-2.0", 145, "taught on COCO, and the fastest of these", transformers=(5, 23)
    ),
    "facebook/mask2former-swin-large-coco-instance": Published(
        "--vis mask2former:NAME", CARD, 870, "taught on COCO", gpu=True
    ),
    "facebook/mask2former-swin-tiny-coco-instance": Published("--vis mask2former:NAME", CARD, 190, "taught on COCO"),
    "tue-mps/videomt-dinov2-small-ytvis2019": Published("--vis videomt:NAME", CARD, 100),
    "facebook/sam2.1-hiera-tiny": Published(
        "--vis sam2_video:NAME,PROMPTS.json", "Apache-2.0", 160, transformers=(5, 23)
    ),
    "facebook/sam-vit-base": Published("--weights NAME, or train --init NAME", "Apache-2.0", 375),
    "facebook/cotracker3": Published(
        "--tracker cotracker3:NAME", "CC-BY-NC 4.0: not for commercial use", 100, files=("scaled_online.pth",)
    ),
}  # fmt: skip


def listing(at_hand: bool = False, width: int = 79) -> str:
    """Shipped weights and those of the hub, in words.

    Args:
        at_hand: leave out what would have to be fetched.
        width: of a line in characters.
    """
    lines = ["  Come with samodal, always at hand (Apache-2.0):"]
    for path in sorted(SHIPPED.glob("*.safetensors")):
        lines += hanging(f"  {path.stem:<26}{path.stat().st_size / 1e6:5.1f} MB  ", about(path), width)
    lines += ["", "  From the Hugging Face hub, of their publishers:"]
    for name, model in HUB.items():
        folder = cached(name, model.files)
        if folder is None and at_hand:
            continue
        lines += [f"  {name}"]
        for label, text in (
            ("for", model.use), ("size", f"about {model.megabytes:,} MB"), ("licence", model.licence),
            ("at hand", f"yes, revision {folder.name[:12]}" if folder else f"no: samodal weights fetch {name}"),
        ):  # fmt: skip
            lines += hanging(f"      {label:<9}", text, width)
    return "\n".join(lines)


def about(weights: Path) -> str:
    """The first sentence of the card beside shipped weights."""
    card = weights.with_suffix(".md")
    text = " ".join(card.read_text(encoding="utf-8").split("\n\n")[1].split()) if card.is_file() else ""
    return re.split(r"(?<=[^.]{3})[.:] ", re.sub(r"^\*\*[^*]*\*\* ", "", text))[0].rstrip(".")


def info(name: str) -> str:
    """All that is known of weights: of shipped ones their card.

    Raises:
        InputError: for an unknown name.
    """
    if (path := shipped_path(name)) is not None:
        card = path.with_suffix(".md")
        text = card.read_text(encoding="utf-8").strip() if card.is_file() else f"# {name}"
        return f"{text}\n\n{path}, {path.stat().st_size / 1e6:.1f} MB"
    model, folder = _published(name), cached(name, _published(name).files)
    lines = [name, f"  for       {model.use.replace('NAME', name)}", f"  size      about {model.megabytes:,} MB"]
    lines += [f"  licence   {model.licence}", f"  card      https://huggingface.co/{name}"]
    needs = [f"transformers {'.'.join(map(str, model.transformers))}", *(["a GPU"] if model.gpu else [])]
    at_hand = f"yes: {folder}" if folder else f"no: samodal weights fetch {name}"
    return "\n".join([*lines, f"  needs     {', '.join(needs)}", f"  at hand   {at_hand}"])


def _published(name: str) -> Published:
    if name not in HUB:
        known = [*HUB, *(path.stem for path in SHIPPED.glob("*.safetensors"))]
        raise InputError(f"no weights of the name {name!r}{nearest(name, known)}")
    return HUB[name]


def verified(name: str | None = None) -> Iterator[tuple[str, str]]:
    """(name, what is wrong, or "") of weights on this machine, held against their checksums; all where none is named.

    Raises:
        InputError: for a name that is not known, or not at hand.
    """
    shipped = [path.stem for path in sorted(SHIPPED.glob("*.safetensors"))]
    for key in [name] if name is not None else [*shipped, *HUB]:
        if (path := shipped_path(key)) is not None:
            yield key, changed(path)
            continue
        folder = cached(key, _published(key).files)
        if folder is None and name is not None:
            raise InputError(f"{key}: is not at hand; samodal weights fetch {key}")
        if folder is not None:
            yield key, damaged(folder)


def get(name: str, tell: Callable[[str], object] = print) -> None:
    """Fetch published weights by name; those that are there are checked again.

    Args:
        tell: is given size, licence and revision before anything is fetched, and where it lies afterwards.

    Raises:
        InputError: for an unknown name, without a network, or where the content is not what the hub states.
    """
    if shipped_path(name) is not None:
        tell(f"{name} comes with samodal; there is nothing to fetch")
        return
    model = _published(name)

    def state(size: int, revision: str) -> None:
        tell(f"{name}: {size / 1e6:,.0f} MB, licence: {model.licence}; revision {revision}")

    folder = fetch(name, model.files, state, f" ({model.licence})")
    use = model.use.replace("NAME", name)
    tell(f"{name}: at hand, its checksums are right: {folder}; use it with {use}")
