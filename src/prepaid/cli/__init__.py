"""The ``prepaid`` command: upgrade a database, run the jobs, charge meters, prove the books, import tax rules.

Exit status: 0 done, 1 something was found or failed, 2 wrong use or set-up.
"""

from .commands import main
from .tax_rules import tax_rules

main.add_command(tax_rules)

__all__ = ["main"]
