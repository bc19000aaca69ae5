"""maille: gossip."""
