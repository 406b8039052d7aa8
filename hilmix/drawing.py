"""Draws figures (hilmix.figures) for paper: PNG and PDF by matplotlib, one renderer a kind."""

from __future__ import annotations
