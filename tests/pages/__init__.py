"""Tests of the citizen pages: without a browser over real ASGI, and in Chromium over real HTTPS."""
