"""Models as transformers saves them: a folder, or a name on the Hugging Face hub, checked before anything is built."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from samodal.errors import InputError


@dataclass(frozen=True)
class Wanted:
    """The architecture that a checkpoint must have.

    Attributes:
        title: its name, for messages.
        model_type: as config.json says it.
        example: a hub name of one.
        licence: of its weights, told where they are gated.
    """

    title: str
    model_type: str
    example: str
    licence: str = ""


def model_folder(name: str, wanted: Wanted) -> Path:
    """The folder of a checkpoint, in the local cache for a hub name, which is fetched.

    Raises:
        InputError: where there is no such folder or name, it is gated, or holds another architecture.
    """
    if Path(name).is_dir():
        _check(Path(name), name, wanted)
        return Path(name)
    if name.endswith((".safetensors", ".pth", ".pt", ".bin")) or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(
            f"{name}: no such {wanted.title}; give a folder as transformers saves one, with config.json in it, or a "
            f"hub name as {wanted.example}"
        )
    return _download(name, wanted)


def _download(name: str, wanted: Wanted) -> Path:
    """config.json comes first, so that a wrong model costs nothing."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import GatedRepoError

    try:
        _check(Path(hf_hub_download(name, "config.json")).parent, name, wanted)
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except GatedRepoError:
        licence = f" ({wanted.licence})" if wanted.licence else ""
        raise InputError(
            f"{name}: gated: accept its licence{licence} at https://huggingface.co/{name}, then `hf auth login`, or "
            "set HF_TOKEN"
        ) from None
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name}: no such folder, and the Hugging Face hub did not give it ({reason})") from None


def _check(folder: Path, name: str, wanted: Wanted) -> None:
    """Read config.json before transformers fills a wrong class with random weights."""
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{name}: expected a folder as transformers saves one, found no config.json in it") from None
    except ValueError as error:
        raise InputError(f"{folder / 'config.json'}: not readable ({error})") from None
    if told.get("model_type") != wanted.model_type:
        found = ", ".join(told.get("architectures") or []) or told.get("model_type") or "no model type"
        raise InputError(
            f"{name}: expected a {wanted.title} (model_type {wanted.model_type}), found {found}; one is "
            f"{wanted.example}"
        )
