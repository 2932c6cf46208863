"""Serving from a stream: a local replica of what a job validated, followed record by record."""
