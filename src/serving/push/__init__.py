"""Answers and events, sent to those who follow them."""
