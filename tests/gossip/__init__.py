"""maille: tests of gossip."""
