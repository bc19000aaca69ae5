"""Hostile peers against whole running daemons: what they cost is bounded, and honest members do not notice."""
