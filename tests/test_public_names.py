"""Public names, and what the public functions take, are those of public_names.txt: a change is seen in review."""

import inspect
from pathlib import Path

import samodal

LIST = Path(__file__).with_name("public_names.txt")


def public_names() -> list[str]:
    """A line for each name of the package: functions with their parameters, classes with their public attributes."""
    lines = []
    for name in sorted(samodal.__all__):
        value = getattr(samodal, name)
        if inspect.isclass(value):
            lines.append(f"class {name}")
            members = {
                member for kind in value.__mro__ if kind.__module__.startswith("samodal") for member in vars(kind)
            }
            members |= {f for kind in value.__mro__ for f in getattr(kind, "__annotations__", {})}
            lines += [f"  {name}.{member}" for member in sorted(members) if not member.startswith("_")]
        elif callable(value):
            lines.append(f"{name}({', '.join(inspect.signature(value).parameters)})")
        else:
            lines.append(name)
    return lines


def test_public_names_are_those_that_are_committed():
    """After a change on purpose: `python tests/test_public_names.py > tests/public_names.txt`, and a changelog line."""
    assert public_names() == LIST.read_text(encoding="utf-8").splitlines()


def test_every_public_name_is_in_the_reference():
    text = (LIST.parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    named = {line.split("::")[1].strip() for line in text.splitlines() if line.startswith(".. auto")}
    assert named == set(samodal.__all__) - {"__version__"}


if __name__ == "__main__":
    print("\n".join(public_names()))
