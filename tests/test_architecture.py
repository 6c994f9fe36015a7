"""What may import what, how fast a start is allowed to load, and which packages must never come along."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import samodal

ROOT = Path(samodal.__file__).parent
PACKAGES = sorted(p.name for p in ROOT.iterdir() if p.is_dir() and (p / "__init__.py").exists())

# Data flows one way: a room imports from its own and from those before it, never from one after it.
ROOMS = (
    "version errors remote categories checks seeds rle edges masks together shapes occlusion confidence interruption "
    "threads outputs files loading yaml_files pictures progress columns tracks images graphs parts registry making "
    "decoding video checkpoints executors results exports data metrics method segmenters trackers frontends baselines "
    "drawing views settings build doctor api runs report runner fleet sim training experiments bench cli"
).split()


def modules() -> dict[str, Path]:
    """Every module of the package by its name; "samodal" itself, the public door, is the last room."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: Collection[str]) -> set[str]:
    """Modules of the package that a file imports: at its top, inside functions, and for type checking alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the whole name of what is imported"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in known:
                name = name.rpartition(".")[0]
            found |= {name} - {""}
    return found


def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: imports_of(path, known) - {name} for name, path in known.items()}


def room(module: str) -> int:
    name = module.removeprefix("samodal").removeprefix(".").partition(".")[0]
    return len(ROOMS) if name in ("", "__main__") else ROOMS.index(name)


def test_every_import_points_to_the_same_room_or_one_before_it():
    wrong = {f"{a} -> {b}" for a, found in graph().items() for b in found if room(b) > room(a)}
    assert wrong == set()


def test_no_module_imports_itself_by_way_of_others():
    # Raises CycleError, which names the circle.
    assert len(list(TopologicalSorter(graph()).static_order())) == len(modules())


@pytest.mark.parametrize("name, path", sorted(modules().items()))
def test_files_and_functions_stay_short(name, path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= (150 if name == "samodal.method.pipeline" else 350)
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno + 1 > 70] == []


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after running code in a fresh interpreter."""
    report = f"import sys\n{code}\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_package_loads_nothing_heavy_and_changes_nothing():
    assert not loaded_by("import samodal") & {"torch", "transformers", "cv2", "av", "numpy", "panda3d"}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["evaluate", "--help"], ["train", "--help"]])
def test_help_needs_no_heavy_import(arguments):
    code = (
        f"from samodal.cli.app import main\nimport io, contextlib\n"
        f"with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main({arguments!r})"
    )
    assert not loaded_by(code) & {"torch", "transformers", "cv2", "av", "panda3d", "accelerate"}


def test_results_data_sets_and_metrics_need_no_torch():
    modules = [
        ".".join(f.relative_to(ROOT.parent).with_suffix("").parts)
        for part in ("results", "data", "metrics")
        for f in sorted((ROOT / part).glob("*.py"))
    ]
    # faster-coco-eval itself imports some build of cv2, which need not be the contrib one.
    assert not loaded_by("import " + ", ".join(modules)) & {"torch", "transformers", "av"}


def test_training_and_rendering_need_neither_video_nor_contrib_opencv():
    modules = [
        ".".join(f.relative_to(ROOT.parent).with_suffix("").parts)
        for part in ("training", "sim")
        for f in sorted((ROOT / part).glob("*.py"))
    ]
    assert not loaded_by("import " + ", ".join(modules)) & {"cv2", "av"}


FOREIGN = {"torchvision", "torchaudio", "timm", "opencv-python", "opencv-python-headless", "opencv-contrib-python"}


def requirements_of(name: str, seen: set[str]) -> set[str]:
    """Every package that installing `name` brings along, extras of samodal included."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in seen:
        return seen
    seen.add(name)
    try:
        texts = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return seen  # wanted on another platform or Python only
    extras = ["sim", "train", "lora", "tables", "supervision", "ray", "cloud", "dev"] if name == "samodal" else [""]
    for requirement in map(Requirement, texts):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras):
            requirements_of(requirement.name, seen)
    return seen


def test_no_torchvision_timm_or_second_opencv_in_the_dependency_tree():
    tree = requirements_of("samodal", set())
    assert {"torch", "transformers", "panda3d", "peft"} <= tree
    assert tree & FOREIGN == set()


def test_every_named_part_can_be_imported():
    from samodal import making, registry

    tables = (registry.FRONT_ENDS, registry.SELECTORS, registry.TRACKERS, registry.METHODS)
    assert all(callable(making.find(table, name, "part")) for table in tables for name in table)
