"""Pure decisions over frozen values: money, tax, states, what an event posts.

Nothing here reads a clock, a network, a database or a source of randomness;
the ``lint`` environment enforces it.
"""
