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
        model_type: as config.json has it.
        example: a hub name with this architecture.
        licence: of its weights, for the message where they are gated.
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
    # config.json comes first, so that a wrong model costs nothing.
    licence = f" ({wanted.licence})" if wanted.licence else ""
    _check(download_file(name, "config.json", licence).parent, name, wanted)
    return download(name, ["*.json", "*.safetensors"], licence=licence)


def download(name: str, files: list[str], fetch: bool = True, licence: str = "") -> Path:
    """The folder of a hub name in the local cache, with files of these patterns.

    Args:
        fetch: whether to ask the hub for what is not in the cache.
        licence: in brackets, for the message where they are gated.

    Raises:
        InputError: where the hub does not give it, or it is not in the cache.
    """
    from huggingface_hub import snapshot_download

    options = {} if fetch else {"local_files_only": True}
    try:
        return Path(snapshot_download(name, allow_patterns=files, **options))
    except (OSError, ValueError) as error:
        if not fetch:
            raise InputError(
                f"{name}: a weight file asks for it, and it is not on this machine; get it with `hf download {name}`"
            ) from None
        raise _refused(name, error, licence) from None


def download_file(name: str, file: str, licence: str = "") -> Path:
    """One file of a hub name, in the local cache.

    Raises:
        InputError: where the hub does not give it.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, file))
    except (OSError, ValueError) as error:
        raise _refused(name, error, licence) from None


def _refused(name: str, error: Exception, licence: str) -> InputError:
    """Why a hub did not give something, and the way out."""
    from huggingface_hub.errors import GatedRepoError

    if isinstance(error, GatedRepoError):
        return InputError(
            f"{name}: gated: accept its licence{licence} at https://huggingface.co/{name}, then `hf auth login`, or "
            "set HF_TOKEN"
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(f"{name}: no such file or folder, and the Hugging Face hub did not give it ({reason})")


def _check(folder: Path, name: str, wanted: Wanted) -> None:
    """Read config.json before transformers fills a wrong class with random weights."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{name}: expected a folder as transformers saves one, found no config.json in it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{folder / 'config.json'}: not readable ({error})") from None
    if not isinstance(config, dict):
        raise InputError(f"{folder / 'config.json'}: expected names and values, found {type(config).__name__}")
    if config.get("model_type") != wanted.model_type:
        names = config.get("architectures")
        found = ", ".join(map(str, names)) if isinstance(names, list) and names else config.get("model_type")
        raise InputError(
            f"{name}: expected a {wanted.title} (model_type {wanted.model_type}), found {found or 'no model type'}; "
            f"an example is {wanted.example}"
        )
