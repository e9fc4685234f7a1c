"""Sphinx configuration of the manual; `make docs` builds it with warnings as errors."""

import re
import shutil
import sys
from html import escape
from pathlib import Path

from docutils import nodes

import pavics_affinity
from pavics_affinity.errors import MANUAL

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # our own extensions
project = "pavics-affinity"
author = "The pavics-affinity developers"
copyright = "The pavics-affinity developers"
PURPOSE = "Keep a chain of WPS processes on the machine that holds its files."
version = release = pavics_affinity.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "apilinks",
]
exclude_patterns = ["_build", "notebooks/README.md"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# The notebooks are at the top of the project, with the outputs that `make notebooks` checks.
shutil.copytree(HERE.parent / "notebooks", HERE / "notebooks", dirs_exist_ok=True)
nb_execution_mode = "off"
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the numpy docstrings name the types
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_preprocess_types = True  # each word of a type may be a link; see apilinks.py
default_role = "py:obj"  # single backticks in docstrings are names: links, where there is a page

html_theme = "furo"
html_title = f"pavics-affinity {release}"
html_baseurl = MANUAL
html_favicon = "images/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = [("accessible.js", {"defer": "defer"})]
html_theme_options = {"top_of_page_buttons": []}
html_show_sourcelink = False
html_extra_path = ["images/social-card.png"]


def describe_page(app, pagename, templatename, context, doctree):
    """Say what other sites show beside a link to the page: its title and first paragraph."""
    first = doctree and doctree.next_node(
        lambda node: isinstance(node, nodes.paragraph) and isinstance(node.parent, nodes.section)
    )
    words = " ".join(first.astext().split()) if first else PURPOSE
    facts = {
        "og:type": "website",
        "og:site_name": project,
        "og:title": re.sub("<[^>]+>", "", context.get("title") or project),
        "og:description": words if len(words) <= 200 else f"{words[:199].rsplit(' ', 1)[0]} …",
        "og:url": f"{html_baseurl}{pagename}.html",
        "og:image": f"{html_baseurl}social-card.png",
        "og:image:alt": PURPOSE,
    }
    tags = [f'<meta property="{name}" content="{escape(text)}">' for name, text in facts.items()]
    tags.append('<meta name="twitter:card" content="summary_large_image">')
    context["metatags"] = "\n".join([context.get("metatags", ""), *tags])


def without_arguments(app, what, name, obj, options, signature, returns):
    """Leave out the arguments of an error: the library makes it, not the reader."""
    return ("", None) if what == "exception" and signature else None


def setup(app):
    app.connect("html-page-context", describe_page)
    app.connect("autodoc-process-signature", without_arguments)
