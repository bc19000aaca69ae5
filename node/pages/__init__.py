"""Citizen pages: HTML that a member serves to the people it hosts (consent.md, requirements of step 4, item 5).

How it works
    `settings` says where and how; `service` runs a second HTTP server inside the node; `application` has the routes.
    A page reads through the engine's snapshots and acts through the same flows as the command line. Everything works
    without scripts; htmx only refreshes the count of those who have confirmed a withdrawal.

What it does not do
    No page decides what a consent means, and none can do what the person's wallet, or her slip, could not.
"""
