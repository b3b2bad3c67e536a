"""Figures of a book, from its transfers and nothing else."""
