"""What `check` reads: rows in the order in which they prove each other, and rows that cannot be.

Nothing here holds a table in memory: rows are streamed, sorted and joined by the
database. Instants are given as the microseconds they are stored as, so that a
row changed by hand never fails to be read.
"""
