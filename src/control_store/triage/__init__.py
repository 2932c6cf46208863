"""Decisions about dead letters."""
