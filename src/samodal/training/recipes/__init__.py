"""Recipes shipped with the package: YAML files with the keys of `TrainSettings`."""

from dataclasses import fields, replace
from pathlib import Path

from samodal.checks import check_fields
from samodal.errors import InputError, nearest
from samodal.training.sam.settings import TrainSettings
from samodal.yaml_files import read_settings

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The shipped recipes."""
    return sorted(p.stem for p in _FOLDER.glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """The YAML file of a shipped recipe, or `name` itself where that is a file.

    Raises:
        InputError: if there is neither, with the nearest known name.
    """
    shipped = _FOLDER / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    if Path(name).is_file():
        return Path(name)
    raise InputError(f"unknown recipe {name!r}{nearest(name, names())}")


def load_recipe(name: str, /, **changes) -> TrainSettings:
    """The settings of a recipe, some of them changed.

    Args:
        name: of a shipped recipe, or a YAML file.
        changes: win over the recipe.

    Raises:
        InputError: for an unknown recipe or key, with the nearest known name, or a value of another type.
    """
    path = recipe_path(name)
    values = read_settings(path)
    known = {f.name for f in fields(TrainSettings)}
    for key in [*values, *changes]:
        if key not in known:
            raise InputError(f"{path.name}: unknown setting {key!r}{nearest(key, known)}")
    settings = replace(TrainSettings(**values), **changes)
    check_fields(settings, path.name)
    return settings
