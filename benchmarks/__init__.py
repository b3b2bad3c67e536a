"""How fast the ledger is, as ratios to what the engine can do at all; see README.md. Never part of a test run."""
