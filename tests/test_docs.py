"""Every Python block of the documentation runs, and so does every example in a docstring."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from prepaid import Prepaid

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
BLOCK = "```python"
PROMPT = ">>> "


def pages_with_blocks() -> list[str]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page.relative_to(ROOT).as_posix() for page in pages if BLOCK in page.read_text()]


def modules_with_examples() -> list[str]:
    files = [path for path in sorted((SOURCE / "prepaid").rglob("*.py")) if PROMPT in path.read_text()]
    return [".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in files]


@pytest.mark.parametrize("page", pages_with_blocks())
def test_every_python_block_of_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = Document.parse(str(ROOT / page), PythonCodeBlockParser())
    document.namespace["__name__"] = "example"  # frameworks ask where they are

    blocks = list(document.examples())
    assert len(blocks) >= (ROOT / page).read_text().count(BLOCK)
    for block in blocks:
        block.evaluate()
    for value in document.namespace.values():
        if isinstance(value, Prepaid):
            value.close()
        elif isinstance(value, Engine):
            value.dispose()


@pytest.mark.parametrize("name", modules_with_examples())
def test_every_example_in_the_docstrings_of_the_module_is_true(name):
    result = doctest.testmod(importlib.import_module(name))

    assert result.attempted > 0
    assert result.failed == 0


def test_there_are_pages_and_modules_with_examples():
    assert pages_with_blocks()
    assert modules_with_examples()
