"""maille: proofs."""
