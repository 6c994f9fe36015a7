"""What may import what, how fast a start is allowed to load, and which packages must never come along."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import samodal

ROOT = Path(samodal.__file__).parent
PACKAGES = sorted(p.name for p in ROOT.iterdir() if p.is_dir() and (p / "__init__.py").exists())

# A part on the left never imports one on the right: data flows one way.
TOP = {"assembly", "run", "cli"}
FORBIDDEN = {
    "formats": {"datasets", "sam", "sim", "training", "metrics", "frontends", "trackers", "methods"} | TOP,
    "datasets": {"sam", "sim", "training", "metrics", "frontends", "trackers", "methods"} | TOP,
    "metrics": {"sam", "sim", "training", "frontends", "trackers", "methods"} | TOP,
    "sam": {"formats", "datasets", "sim", "training", "metrics", "frontends", "trackers", "methods"} | TOP,
    "trackers": {"sam", "formats", "datasets", "sim", "training", "metrics", "frontends", "methods"} | TOP,
    "videomt": {"sam", "datasets", "sim", "training", "metrics", "frontends", "trackers", "methods"} | TOP,
    "centers": {"datasets", "sim", "training", "metrics", "frontends", "trackers", "methods"} | TOP,
    "frontends": {"sam", "sim", "training", "metrics", "trackers", "methods"} | TOP,
    "pipeline": {"sam", "formats", "datasets", "sim", "training", "metrics", "frontends", "trackers", "methods"},
    "sim": {"sam", "training", "metrics", "frontends", "trackers", "methods"} | TOP,
    "training": {"frontends", "methods", "sim"} | TOP,
    "assembly": {"formats", "datasets", "sim", "training", "metrics", "run", "cli"},
}


def imports_of(path: Path) -> set[str]:
    """Modules of samodal that a file imports at any level, but not those for type checking alone."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("samodal."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("samodal.")}
    return found


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_point_one_way(part):
    files = [ROOT / f"{part}.py"] if (ROOT / f"{part}.py").exists() else sorted((ROOT / part).rglob("*.py"))
    assert files
    wrong = {f.name: imports_of(f) & FORBIDDEN[part] for f in files if imports_of(f) & FORBIDDEN[part]}
    assert wrong == {}


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


def test_formats_data_sets_and_metrics_need_no_torch():
    modules = [
        ".".join(f.relative_to(ROOT.parent).with_suffix("").parts)
        for part in ("formats", "datasets", "metrics")
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
    extras = ["sim", "train", "lora", "dev"] if name == "samodal" else [""]
    for requirement in map(Requirement, texts):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras):
            requirements_of(requirement.name, seen)
    return seen


def test_no_torchvision_timm_or_second_opencv_in_the_dependency_tree():
    tree = requirements_of("samodal", set())
    assert {"torch", "transformers", "panda3d", "peft"} <= tree
    assert tree & FOREIGN == set()


def test_every_named_part_can_be_imported():
    from samodal import registry

    tables = (registry.FRONT_ENDS, registry.SELECTORS, registry.TRACKERS, registry.METHODS)
    assert all(callable(registry.find(table, name, "part")) for table in tables for name in table)
