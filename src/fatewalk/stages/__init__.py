"""The stages of the chain, a module each under the name of its rule: ``main`` takes folders and settings.

The scripts of the workflow call them one by one, each in a job of its own; in one process they are a chain.
"""
