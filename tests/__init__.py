"""maille: tests."""
