"""Sphinx configuration of the manual; `make docs` builds it with warnings as errors."""

import shutil
from pathlib import Path

import pavics_affinity

HERE = Path(__file__).parent
project = "pavics-affinity"
author = "The pavics-affinity developers"
copyright = "The pavics-affinity developers"
version = release = pavics_affinity.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
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
default_role = "code"  # single backticks in docstrings are names

html_theme = "furo"
html_title = f"pavics-affinity {release}"
