"""The tests of maille: their folders mirror those of the code they test."""
