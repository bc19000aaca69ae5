"""Operator pages: HTML that a node serves to those who run it (requirements of step 7, item 2).

How it works
    `settings` says where; `service` runs one more HTTP server inside the node; `application` has the routes. Whoever
    comes shows a token (`maille token make`), whose permission decides what is shown and what may be done. A page
    asks the same operations as the command line. Everything works without scripts; `live` only saves reloading.

What it does not do
    No page does what no command does, and none shows points, purposes or readings.
"""
