"""Settings of the documentation; it is built offline and warnings are errors."""

import prepaid

project = "prepaid"
author = "The prepaid authors"
copyright = "2026, The prepaid authors"
release = version = prepaid.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "prepaid"
html_copy_source = False
html_show_sphinx = False
