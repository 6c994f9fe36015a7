"""Models as transformers saves them: a folder, or a name on the Hugging Face hub, checked before anything is built."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from samodal.checkpoints.files import sha256
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


def cached(name: str, files: Sequence[str]) -> Path | None:
    """The folder of a hub name in the local cache, where all files of these patterns are; the hub is not asked."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):
        return None
    return folder if _is_whole(folder, files) else None


def _is_whole(folder: Path, files: Sequence[str]) -> bool:
    """Whether an interrupted download left nothing out: each pattern has a file, and each shard is there."""
    wanted = [name for name in files if not name.startswith("*")]
    try:
        if "*.safetensors" in files:
            index = folder / "model.safetensors.index.json"
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values() if index.is_file() else ()
            wanted += ["config.json", *(sorted(set(shards)) or ["model.safetensors"])]
        return all((folder / name).is_file() for name in wanted)
    except (OSError, ValueError, RecursionError, KeyError, AttributeError, TypeError):  # a damaged index
        return False


def damaged(folder: Path) -> str:
    """What of a folder of the cache is not what was fetched, "" where nothing is: the cache names files by SHA-256."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        stated = path.resolve().name
        if re.fullmatch("[0-9a-f]{64}", stated) and sha256(path) != stated:
            return f"{path.name} is not what was fetched (its SHA-256 differs); delete {path.resolve()}, fetch it again"
    return ""


def fetch(name: str, files: Sequence[str], tell: Callable[[int, str], object], licence: str = "") -> Path:
    """Fetch a hub name into the local cache, and compare each file with the checksum that the hub states.

    Args:
        files: patterns of what is fetched.
        tell: is given bytes and revision before anything is fetched.
        licence: in brackets, for the message where it is gated.

    Raises:
        InputError: where the hub does not give it, or gives something else than it states.
    """
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(name, files_metadata=True)
    except Exception as error:  # of a network they are those of the library below, which changes
        raise _refused(name, error, licence, "; is there a network?") from None
    stated = [file for file in info.siblings or () if any(fnmatch(file.rfilename, pattern) for pattern in files)]
    tell(sum(file.size or 0 for file in stated), str(info.sha))
    folder = download(name, list(files), licence=licence)
    if folder.name != info.sha:
        raise InputError(f"{name}: fetched revision {folder.name}, the hub stated {info.sha}; fetch it again")
    for file in stated:
        path = folder / file.rfilename
        if not path.is_file() or (file.lfs and sha256(path) != file.lfs.sha256):
            raise InputError(f"{path}: not what the hub states (its SHA-256 differs); delete it and fetch it again")
    return folder


def _refused(name: str, error: Exception, licence: str, way_out: str = "") -> InputError:
    """Why a hub did not give something, and the way out."""
    from huggingface_hub.errors import GatedRepoError

    if isinstance(error, GatedRepoError):
        return InputError(
            f"{name}: gated: accept its licence{licence} at https://huggingface.co/{name}, then `hf auth login`, or "
            "set HF_TOKEN"
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(f"{name}: no such file or folder, and the Hugging Face hub did not give it ({reason}){way_out}")


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
