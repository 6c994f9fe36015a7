"""The site of these pages: `make docs`, or sphinx-build -W docs build/site."""

import re
from pathlib import Path

from samodal.version import __version__

project = "samodal"
author = "the authors of samodal"
copyright = "the authors of samodal; Apache-2.0"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"samodal {__version__}"
html_extra_path = ["command.html"]
html_show_sphinx = False
exclude_patterns = ["results/experiments"]
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
default_role = "literal"  # docstrings have single backticks


def at_home(app, name, source) -> None:
    """Links that a code host follows, made such that the site does: to included pages, and none to folders."""
    page = Path(app.env.doc2path(name)).parent
    text = source[0].replace("](../SECURITY.md)", "](security.md)")
    # Sphinx would offer a page that it has not made as a download.
    text = re.sub(r"\[([^\]]*)\]\((command\.html)\)", r'<a href="\2">\1</a>', text)
    text = re.sub(r"\]\(\.\./src/samodal/weights/([\w-]+)\.md\)", r"](cards.md#\1)", text)

    def without_folder(link: re.Match) -> str:
        return link[1] if (page / link[2]).is_dir() else link[0]

    source[0] = re.sub(r"\[([^\]]*)\]\(((?!http)[^)#\s]+)\)", without_folder, text)


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("source-read", at_home)
