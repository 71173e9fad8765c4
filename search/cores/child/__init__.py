"""The side of the user's code: runs in a process of its own, which alone imports that code.

Imports nothing of ours but what is in this folder.
"""
