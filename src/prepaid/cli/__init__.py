"""The ``prepaid`` command: upgrade a database, run the jobs, charge meters, prove the books.

Exit status: 0 done, 1 something was found or failed, 2 wrong use or set-up.
"""

from .commands import main

__all__ = ["main"]
