"""The ``prepaid`` command: upgrade a database, run jobs, charge meters, prove books, import tax rules, send digests.

Exit status: 0 done, 1 something was found or failed, 2 wrong use or set-up.
"""

from .commands import main
from .digest import digest
from .tax_rules import tax_rules

main.add_command(digest)
main.add_command(tax_rules)

__all__ = ["main"]
