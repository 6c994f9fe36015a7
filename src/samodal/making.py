"""From the name of a part to the part: found, made with what it asks for, and held against its protocol."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from samodal import parts
from samodal.errors import InputError, nearest, page
from samodal.registry import FRONT_ENDS, METHODS, SEGMENTERS, SELECTORS, TRACKERS, Part

PROTOCOLS = {
    "front end": parts.FrontEnd,
    "point tracker": parts.PointTracker,
    "segmenter": parts.Segmenter,
    "method": parts.Method,
    "prompt selector": parts.PromptSelector,
}
NAMED = {"vis": FRONT_ENDS, "segmenter": SEGMENTERS, "tracker": TRACKERS, "method": METHODS}
"""Settings of `samodal run` that name parts."""
UNTRUSTED = "a settings file that names code is a program: give --trust-config where you trust it, or name it in a flag"
HELP = f"see {page('extend.md')}"


def find(table: dict[str, Part], name: str, what: str) -> Any:
    """The class behind a name of a table, or behind `package.module:Class`.

    Raises:
        InputError: for an unknown name, with the nearest known one, or a class that cannot be imported.
    """
    path = table[name].path if name in table else name
    module, _, attribute = path.partition(":")
    if not attribute:
        raise InputError(f"unknown {what} {name!r}{nearest(name, table)}")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two of names like .a and ""
        absent = isinstance(error, ModuleNotFoundError) and error.name == module
        if absent and difflib.get_close_matches(module, table, n=1, cutoff=0.7):
            own = "; your own module of that name must be in a folder of PYTHONPATH"
            raise InputError(f"unknown {what} {module!r}{nearest(module, table)}{own}") from None
        way = "; is its folder in PYTHONPATH?" if absent else nearest(module, table)
        raise InputError(f"{what} {name!r} cannot be imported ({error}){way}") from error


def split(text: str, table: dict[str, Part]) -> tuple[str, str | None]:
    """NAME[:ARGUMENT] in its two halves; `package.module:Class[:ARGUMENT]` counts as a name."""
    name, _, argument = text.partition(":")
    if name not in table and argument:
        attribute, _, argument = argument.partition(":")
        name = f"{name}:{attribute}"
    return name, argument or None


def code_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings of `samodal run` whose value names code outside the package, each with the value.

    Args:
        settings: by name; `rules` by name in it.
    """
    rules = settings.get("rules")
    named = {name: (settings.get(name), table) for name, table in NAMED.items()}
    named["rules.prompt"] = (rules.get("prompt") if isinstance(rules, Mapping) else None, SELECTORS)
    return {name: text for name, (text, table) in named.items() if isinstance(text, str) and _is_code(text, table)}


def _is_code(text: str, table: dict[str, Part]) -> bool:
    for part in text.split("+") if table is SELECTORS else [text]:
        name, argument = split(part, table)
        if ":" in name if name not in table else table[name].runs and argument is not None:
            return True
    return False


def check_name(table: dict[str, Part], text: str, what: str) -> None:
    """Whether NAME[:ARGUMENT] names a part. Parts of the table itself are not imported for it.

    Raises:
        InputError: as `find`; and for an argument that the part does not take.
    """
    name, argument = split(text, table)
    if name not in table:
        find(table, name, what)
    elif argument is not None and not table[name].argument:
        raise InputError(f"{what} {name} takes no argument; found {argument!r}")


def make(table: dict[str, Part], text: str, what: str, context: Mapping[str, Callable[[], Any]]) -> Any:
    """The part that NAME[:ARGUMENT] names.

    A part is made with its argument, if one is given, and with what its constructor asks for by name.

    Args:
        table: where its name stands.
        text: NAME[:ARGUMENT] or `package.module:Class[:ARGUMENT]`.
        what: it is, for messages: a key of `PROTOCOLS`.
        context: what can be asked for, by the name of the constructor's parameter; made when it is.

    Raises:
        InputError: as `check_name`; where the constructor wants something else, or the part lacks a method; and what
            the part says of its argument.
    """
    check_name(table, text, what)
    name, argument = split(text, table)
    return construct(find(table, name, what), what, name, context, () if argument is None else (argument,))


def construct(kind: Any, what: str, name: str, context: Mapping[str, Callable[[], Any]], given: Sequence[Any]) -> Any:
    """The part that a class or function gives for its argument, if there is one, and what it asks for; see `make`."""
    if not callable(kind):
        raise InputError(f"{what} {name}: expected a class, found {type(kind).__name__}; {HELP}")
    names = [key for key in parameters(kind) if key in context]
    try:
        inspect.signature(kind).bind(*given, **dict.fromkeys(names))
    except TypeError as error:
        raise InputError(
            f"{what} {name}: its constructor cannot be called ({error}); it may ask for {', '.join(sorted(context))}, "
            f"and for what follows the name after a colon; {HELP}"
        ) from None
    return checked(kind(*given, **{key: context[key]() for key in names}), PROTOCOLS[what], f"{what} {name}")


def parameters(kind: Any) -> Collection[str]:
    """Names of what a class or function takes."""
    try:
        return inspect.signature(kind).parameters
    except ValueError:  # of some built-in classes
        return ()


def knows_backend(kind: Any, backend: str) -> bool:
    """Whether a class or function takes what `--backend` names, by its parameter `backend` and the type of that."""
    if "backend" not in parameters(kind):
        return False
    known = get_args(get_type_hints(kind.__init__ if isinstance(kind, type) else kind).get("backend"))
    return not known or backend in known


def not_taken(method: str) -> list[str]:
    """The settings of a run around its method that the method does not take.

    Raises:
        InputError: for an unknown method.
    """
    taken = parameters(find(METHODS, split(method, METHODS)[0], "method"))
    names = [name for name in ("segmenter", "weights", "tracker") if name not in taken]
    return names + (["preset", "rules"] if "rules" not in taken else [])


def make_tracker(text: str, device: str = "cpu") -> Any:
    """The point tracker that NAME[:ARGUMENT] names, on a device; see `make`."""
    return make(TRACKERS, text, "point tracker", {"device": lambda: device})


def checked(part: Any, protocol: type, name: str) -> Any:
    """The part itself, where it has all methods of its protocol.

    Args:
        name: of the part, for the message.

    Raises:
        InputError: names what it lacks.
    """
    if inspect.isclass(part):
        raise InputError(f"{name}: expected an object, got the class {part.__name__}; give {part.__name__}()")
    methods = [key for key, value in vars(protocol).items() if inspect.isfunction(value)]
    methods = [key for key in methods if not key.startswith("_") or key == "__call__"]
    lacking = [_signature(protocol, key) for key in methods if not callable(getattr(part, key, None))]
    if lacking:
        raise InputError(f"{name}: lacks {', '.join(lacking)}; {HELP}")
    return part


def _signature(protocol: type, method: str) -> str:
    """A method as it is called, as in step(frame, t)."""
    names = list(parameters(getattr(protocol, method)))[1:]
    return f"{method}({', '.join(names)})"
