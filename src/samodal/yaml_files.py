"""YAML files as plain values. What they can hold is bounded: a file of 400 bytes must not fill the memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from samodal.errors import InputError, shown
from samodal.files import read_text

MOST = 100_000
"""Values in a file, those that an alias repeats counted each time."""
LONGEST = 1_000_000
"""Characters in a file."""
SCALARS = (str, int, float, bool, type(None))


class _Loader(yaml.SafeLoader):
    """Takes dates for text, as the parser of flags does."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a YAML file that maps names to values; nothing in it can run code.

    Raises:
        InputError: if it is missing, not UTF-8, no YAML, no mapping, has a name twice, or repeats itself without end.
    """
    text = read_text(path).removeprefix("\ufeff")
    if len(text) > LONGEST:
        raise InputError(f"{path}: {len(text)} characters; settings have {LONGEST} at most")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _size(node, {}, str(path))
        content = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML ({' '.join(str(error).split())[:300]})") from None
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
        raise InputError(f"{path}: no YAML that can be read ({str(error)[:100]})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected names with values, as in 'seed: 3', found {shown(content)}")
    return check_names(content, str(path))


def read_settings(path: Path) -> dict[str, Any]:
    """The same for the settings of a command: values are single, lists of single ones, or single ones by name.

    Raises:
        InputError: also for anything else.
    """
    content = read_yaml(path)
    for name, value in content.items():
        if isinstance(value, dict):
            parts = list(check_names(value, f"{path}: {name}").values())
        else:
            parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, SCALARS) for part in parts):
            raise InputError(f"{path}: {name}: expected single values, found {shown(value)}")
    return content


def check_names(content: Any, where: str) -> dict[str, Any]:
    """The content itself, where it is a mapping by text.

    Raises:
        InputError: for anything else.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected names with values, found {shown(content)}")
    for name in content:
        if not isinstance(name, str):
            raise InputError(f"{where}: expected names as text, found {shown(name)}; put it in quotes")
    return content


def _size(node: Any, known: dict[int, int | None], where: str) -> int:
    """How many values stand below a node, its own one included."""
    if id(node) in known:
        if known[id(node)] is None:
            raise InputError(f"{where}: line {node.start_mark.line + 1}: a value that contains itself")
        return known[id(node)]
    known[id(node)] = None
    size = 1
    if isinstance(node, yaml.ScalarNode):
        # The parser of flags reads texts as YAML again.
        size += _size_of_text(node.value, where) if "*" in node.value else 0
    elif isinstance(node, yaml.MappingNode):
        _check_unique([key for key, _ in node.value if isinstance(key, yaml.ScalarNode)], where)
        size += sum(_size(part, known, where) for pair in node.value for part in pair)
    else:
        size += sum(_size(part, known, where) for part in node.value)
    if size > MOST:
        raise InputError(f"{where}: line {node.start_mark.line + 1}: more than {MOST} values, with what aliases repeat")
    known[id(node)] = size
    return size


def _size_of_text(text: str, where: str) -> int:
    try:
        node = yaml.compose(text, _Loader)
    except yaml.YAMLError:
        return 0
    return 0 if node is None or node.value == text else _size(node, {}, where)


def _check_unique(keys: list, where: str) -> None:
    names = set()
    for key in keys:
        if key.value in names:
            raise InputError(f"{where}: line {key.start_mark.line + 1}: {shown(key.value)} is there twice")
        names.add(key.value)
