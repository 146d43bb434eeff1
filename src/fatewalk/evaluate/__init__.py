"""Calls and estimates against a known truth."""
