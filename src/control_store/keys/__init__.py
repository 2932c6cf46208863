"""Stored API keys: their text, what is kept of them, and what they may."""
