"""Readers, one module for each format of a screen, and what they share.

`anndata` and `plain` are formats. `stores`, `matrices` and `guides` read the files of the first: elements by
name, matrices in chunks, guides in their many forms. `tenx` reads tables of Cell Ranger for all. A format
declares the keys of its dataset entry, a `fatewalk.config.datasets.Dataset` that it names ``ENTRY``,
and reads the files that an entry names. No other module has to know of it.
"""
