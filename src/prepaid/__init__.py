"""Prepaid credit billing for cloud panels."""

__version__ = "0.1.0"
