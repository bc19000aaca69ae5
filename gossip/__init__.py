"""Gossip, sans-IO: the encrypted channel between two nodes, and how entries reach every node of a mesh."""
