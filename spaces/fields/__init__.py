"""How a configuration is declared, read and changed: fields, bounds, sections and paths.

Every core declares its configuration through these. Standard library only.
"""
