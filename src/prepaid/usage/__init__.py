"""Usage: charges by key, and meters that charge by the hour."""
