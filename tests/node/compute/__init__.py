"""Tests of the flows of data, over cores without sockets."""
