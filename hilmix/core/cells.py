"""Cells of csv files that people open in a spreadsheet (OWASP, CSV injection)."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a cell that begins so is carried out by spreadsheets


def safe_cell(text: str) -> str:
    """The text as no spreadsheet takes it for a formula: with an apostrophe before what begins as one does."""
    return f"'{text}" if text.startswith(FORMULA) else text
