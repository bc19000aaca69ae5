"""maille: node."""
