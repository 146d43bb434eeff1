"""The figures, a module each under the name that the registry has for it."""
