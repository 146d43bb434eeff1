"""Readers, one module for each format of a screen.

A module declares the keys of its dataset entry, a `fatewalk.config.datasets.Dataset` that it names ``ENTRY``,
and reads the files that an entry names. No other module has to know of it.
"""
