"""Tax: dated rules that operators keep, and the engine that decides a sale."""
