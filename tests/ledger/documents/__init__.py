"""Tests of documents: changes, histories, texts, adoptions."""
