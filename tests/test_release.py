"""What a release consists of: versions, changelog, citation, Dockerfile, model cards, licences, pages of the site."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from samodal.checkpoints.files import SHIPPED
from samodal.checkpoints.published import HUB
from samodal.data.open import KINDS
from samodal.version import __version__

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CARDS = sorted(SHIPPED.glob("*.md"))


def text_of(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere():
    assert tomllib.loads(text_of("pyproject.toml"))["project"]["version"] == __version__
    assert f"## {__version__}" in text_of("CHANGELOG.md") or "## Unreleased" in text_of("CHANGELOG.md")
    assert yaml.safe_load(text_of("CITATION.cff"))["version"] == __version__
    assert f"samodal-{__version__}-py3" in text_of("docs", "start.md")


def test_the_citation_names_the_paper_of_the_readme():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    paper = citation["preferred-citation"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    readme = " ".join(text_of("README.md").replace("*", "").split())
    assert paper["title"] in readme and all(author["family-names"] in readme for author in paper["authors"])


def test_the_dockerfile_copies_what_is_there_and_is_called_as_it_and_the_docs_say():
    text = text_of("Dockerfile")
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert copied and all((ROOT / path).exists() for path in copied)
    project = text_of("pyproject.toml")
    needed = {*re.findall(r'readme = "(.*?)"', project), *(name for name in ("docs", "src") if f'"{name}/' in project)}
    assert needed <= set(copied)
    (pin,) = re.findall(r"^TORCH \?= (\S+)", text_of("Makefile"), re.MULTILINE)
    assert f'ARG TORCH="{pin} ' in text and text.count(pin) == 2
    assert set(re.findall(r"^([A-Z]+) ", text, re.MULTILINE)) <= {"FROM", "ARG", "RUN", "COPY", "USER", "WORKDIR",
                                                                  "ENTRYPOINT", "CMD"}  # fmt: skip
    command = 'docker build -t samodal . && docker run --rm -v "$PWD:/work" samodal run drive.mp4'
    assert command in text and command in text_of("docs", "start.md") and 'ENTRYPOINT ["samodal"]' in text
    ignored = set(text_of(".dockerignore").split())
    assert {".git", ".venv"} <= ignored and not ignored & set(copied)


def test_check_builds_the_site_and_tries_the_wheel_with_the_newest_and_the_oldest_dependencies():
    makefile = text_of("Makefile")
    check = makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    assert "docs" in check.splitlines()[0] and "$(MAKE) wheel oldest" in check and "make check" in text_of(".ci", "run")
    for named in re.findall(r"(?:scripts/\w+\.py|docs/\w+\.md|test_\w+\.py)", makefile):
        assert (ROOT / named).exists() or (ROOT / "tests" / named).exists(), named


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_a_model_card_says_what_it_is_from_what_by_which_command_at_what_cost_and_how_its_training_went(card):
    text = card.read_text(encoding="utf-8")
    assert re.search(r"[\d,]+ parameters|\d[\d,.]* M parameters", text) and "licen" in text.lower() or "Apache" in text
    for wanted in ("data: ", "cost: ", "made by ", "commit", "## Metrics", "## Settings"):
        assert wanted in text, wanted
    log = re.search(r"^## (?:End of the log|Log)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert log and ('{"step"' in log[1] or "lost" in log[1])
    assert f"](../src/samodal/weights/{card.name})" in text_of("docs", "cards.md") or card.name in text_of(
        "docs", "cards.md"
    )


def test_every_shipped_file_of_weights_has_a_card():
    assert {card.stem for card in CARDS} == {path.stem for path in SHIPPED.glob("*.safetensors")}


def test_the_page_of_licences_names_every_model_and_kind_of_data():
    text = text_of("docs", "licences.md")
    for name in (*HUB, *(path.stem for path in SHIPPED.glob("*.safetensors")), *KINDS):
        assert f"`{name}`" in text, name
    for name, model in HUB.items():
        row = next(line for line in text.splitlines() if f"`{name}`" in line)
        licence = re.split("[:;,.] ", model.licence.replace("CC-BY-NC", "CC BY-NC"))[0].partition(" 4.0")[0]
        assert licence.split(";")[0] in row or "see" in row, name


def test_every_page_is_in_the_contents_of_the_site():
    contents = text_of("docs", "index.md")
    listed = set(re.findall(r"^([\w/-]+)$", contents, re.MULTILINE))
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= listed


def test_the_method_on_one_page_links_each_function_to_the_file_that_has_it():
    links = re.findall(r"\[`([\w.]+)`\]\((\S+?\.py)\)", text_of("docs", "equations.md"))
    assert len(links) >= 20
    for name, path in links:
        source = (DOCS / path).read_text(encoding="utf-8")
        assert all(re.search(rf"(?:def|class) {part}\b", source) for part in name.split(".")) or path.endswith(name), (
            name
        )


def test_lower_bounds_are_not_above_what_is_pinned():
    from packaging.requirements import Requirement

    pins = dict(line.lower().split("==") for line in text_of("requirements.txt").splitlines() if "==" in line)
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for line in (*project["dependencies"], *extras):
        needed = Requirement(line)
        if needed.name in pins:
            assert needed.specifier.contains(pins[needed.name], prereleases=True), line
