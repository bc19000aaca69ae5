"""The attacks of governance.md §7, each tried on the rule of maille and on two textbook rules."""
