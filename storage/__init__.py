"""maille: storage."""
