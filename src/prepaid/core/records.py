"""Named tuples by the thousand.

>>> from prepaid.core.grants import OpenGrant
>>> record(OpenGrant, ("grt_1", 30))
OpenGrant(id='grt_1', remaining=30)
"""

from __future__ import annotations

from typing import Final

record: Final = tuple.__new__
"""Makes a named tuple of a class from its values in their order, in half the time of the class's own constructor.

All values, those with defaults too: nobody counts them.
"""
