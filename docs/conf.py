"""Sphinx configuration of the manual; `make docs` builds it with warnings as errors."""

import pavics_affinity

project = "pavics-affinity"
author = "The pavics-affinity developers"
copyright = "The pavics-affinity developers"
version = release = pavics_affinity.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the numpy docstrings name the types
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
default_role = "code"  # single backticks in docstrings are names

html_theme = "furo"
html_title = f"pavics-affinity {release}"
