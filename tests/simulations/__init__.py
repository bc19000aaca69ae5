"""maille: tests of the simulations and of the two drivers that everything later is tested with."""
