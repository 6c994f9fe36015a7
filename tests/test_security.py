"""What SECURITY.md promises and no other test holds: unsafe calls, and known faults of what is installed."""

import ast
import datetime
import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TODAY = datetime.date(2026, 11, 29)
# Each runs code that its data name, or opens files with a library that is not kept for that.
NEVER = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.load",
    "marshal.loads", "shelve.open", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "joblib.load", "torch.hub.load",
    "torch.jit.load", "torch.jit.script", "torch.export.load", "cv2.imread", "cv2.VideoCapture",
    "accelerate.load_checkpoint_in_model", "accelerate.load_checkpoint_and_dispatch",
}  # fmt: skip


def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calls():
    """(place, name, keywords with their literal values) of every call in the package by a dotted name."""
    for path in sorted((ROOT / "src" / "samodal").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                named = {k.arg: k.value.value if isinstance(k.value, ast.Constant) else ... for k in node.keywords}
                yield f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), named


def test_nothing_in_the_package_reads_data_as_a_program():
    found, loaded = [], 0
    for place, name, named in calls():
        if name in NEVER or named.get("shell") or named.get("allow_pickle") or named.get("trust_remote_code"):
            found.append(f"{place}: {name}")
        if name == "cv2.imdecode":  # it reads many formats; there it is given whole JPEGs alone
            assert place.startswith("src/samodal/pictures.py:"), place
        if name == "torch.load":
            loaded += 1
            assert named.get("weights_only") is True, place
        if name.startswith("Auto") and name.endswith(".from_pretrained"):
            assert named.get("trust_remote_code") is False, place
    assert not found and loaded >= 2


def test_pickles_are_read_in_one_place_with_names_of_its_own():
    using = {
        str(path.relative_to(ROOT / "src" / "samodal"))
        for path in (ROOT / "src" / "samodal").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(name.name in ("pickle", "marshal", "shelve") for name in node.names)
    }
    assert using == {"data/pickles.py"}


def test_pins_and_lower_bounds_have_no_known_fault_without_an_exception():
    program = audit()
    table = program.tomllib.loads(program.TABLE.read_text(encoding="utf-8"))
    pins, lowest = program.pins(), program.lower_bounds()
    assert pins["torch"] and len(pins) > 60 and lowest["pillow"] == "12.3.0"
    assert program.problems(pins, table, TODAY) == program.problems(lowest, table, TODAY) == []
    for package, version in lowest.items():
        assert package not in pins or program.Version(pins[package]) >= program.Version(version)
    known = {(fault["package"], fault["id"]) for fault in table["fault"]}
    assert all((entry["package"], entry["id"]) in known and entry["why"] for entry in table["exception"])


TABLE = {
    "fault": [
        {"package": "a", "id": "CVE-1", "fixed": "2.10", "what": "writes out of bounds"},
        {"package": "a", "id": "CVE-2", "fixed": "", "what": "reads out of bounds"},
    ],
    "exception": [{"package": "a", "id": "CVE-2", "until": datetime.date(2027, 1, 1), "why": "not called"}],
}


def test_a_version_below_the_fix_is_named_and_an_exception_ends_on_its_day():
    told = audit().problems
    assert told({"a": "2.10"}, TABLE, TODAY) == told({"b": "1"}, TABLE, TODAY) == []
    assert told({"a": "2.9.1"}, TABLE, TODAY) == ["a 2.9.1: CVE-1: writes out of bounds; fixed in 2.10"]
    (line,) = told({"a": "2.10"}, TABLE, datetime.date(2027, 1, 2))
    assert line == "a 2.10: CVE-2: reads out of bounds; fixed in no release, its exception ended on 2027-01-01"


@pytest.mark.parametrize(
    ("answer", "faults", "why"),
    [
        ([{"name": "a", "version": "2", "vulns": []}], [], ""),
        (
            [{"name": "a", "version": "2", "vulns": [{"id": "CVE-3", "fix_versions": ["3"]}]}],
            ["a 2: CVE-3; fixed in 3"],
            "",
        ),
        ([{"name": "a", "skip_reason": "not found"}], [], "the service does not know 1 of 1 packages, as a"),
        (None, [], "pip-audit gave no answer (JSONDecodeError)"),
    ],
)
def test_an_audit_without_its_service_says_so(tmp_path, answer, faults, why):
    program = tmp_path / "pip-audit"
    text = "no route to host" if answer is None else json.dumps({"dependencies": answer})
    program.write_text(f"#!{sys.executable}\nimport sys\nassert 'CVE-2' in sys.argv\nprint({text!r})\n")
    program.chmod(0o755)
    assert audit().asked(str(program), {"a": "2"}, TABLE) == (faults, why)
    assert audit().asked(str(tmp_path / "nosuch"), {"a": "2"}, TABLE)[1].startswith("pip-audit gave no answer")
