"""Exports: what a book holds, row by row, for an accountant, a spreadsheet or another program.

`columns` says what each export has, `rows` reads it, a module for each format
writes it, and `exporting` brings the three together.
"""

from .columns import COLUMNS
from .exporting import FORMATS, Exported, ExportFormat, export, formats

__all__ = ["COLUMNS", "FORMATS", "ExportFormat", "Exported", "export", "formats"]
