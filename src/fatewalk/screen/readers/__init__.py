"""Readers, one module for each format of a screen."""
