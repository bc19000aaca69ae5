"""Figures: tidy tables of what was simulated, and how they are drawn as SVG, PDF and CSV."""
