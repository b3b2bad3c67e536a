"""The ``prepaid`` command: the database, jobs, meters, proofs, exports and tax rules of a host's billing system.

Exit status: 0 done, 1 something was found or failed, 2 wrong use or set-up.
"""

from .commands import main
from .exporting import export
from .tax_rules import tax_rules

main.add_command(export)
main.add_command(tax_rules)

__all__ = ["main"]
