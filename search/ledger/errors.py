"""The error of a ledger."""


class LedgerError(RuntimeError):
    """A ledger that cannot be read or written, or that another driver is writing."""
