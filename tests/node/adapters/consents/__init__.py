"""Tests of the records of consent of other systems."""
