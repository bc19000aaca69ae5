"""maille: simulations."""
