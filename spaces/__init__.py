"""Triptych: study files, what can be searched, what will run. Never imports torch."""
