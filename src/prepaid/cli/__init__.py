"""The ``prepaid`` command: a host's database, jobs, meters, proofs, exports, digests and tax rules.

Exit status: 0 done, 1 something was found or failed, 2 wrong use or set-up.
"""

from .commands import main
from .digest import digest
from .exporting import export
from .tax_rules import tax_rules

main.add_command(digest)
main.add_command(export)
main.add_command(tax_rules)

__all__ = ["main"]
