"""Simulations: many nodes in one exact, repeatable world, to measure and to break what the other packages do."""
