"""maille: tests of storage."""
