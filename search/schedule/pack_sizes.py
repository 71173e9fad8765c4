"""How many cells a pack may hold: what was measured, or what the user said."""

from collections.abc import Iterable

from msa_core.vectorised.pack_key import PackSize

UNMEASURED = 32  # cells of the first pack of a key; the worker measures and splits it as it must


class PackSizes:
    """Pack key -> members in one step, on the device of this run."""

    def __init__(
        self,
        measured: Iterable[PackSize] = (),
        *,
        device: str = "cpu",
        data: str = "",
        fixed: int | None = None,
    ) -> None:
        """Start from what the ledger holds.

        Args:
            measured: in this run's folder, on whatever device and data.
            device: kind of the workers' device, `cpu` or `cuda`.
            data: fingerprint of the data.
            fixed: the user's own size, instead of any measurement.
        """
        self.data = data
        self.fixed = fixed
        self._measured = list(measured)
        self.use(device)

    def use(self, device: str) -> None:
        """Count what was measured on this kind of device."""
        self.device = device
        self._sizes: dict[str, int] = {}
        for one in self._measured:
            if one.data == self.data and (one.device == "cpu") == (device == "cpu"):
                self.add(one)

    def add(self, measured: PackSize) -> None:
        """Take in a measurement.

        Where workers differ the largest size holds: they have the same share of memory, and one
        that was disturbed finds a size that is too small.
        """
        known = self._sizes.get(measured.pack_key, measured.size)
        self._sizes[measured.pack_key] = max(known, measured.size)

    def size(self, key: str) -> int | None:
        """Members in one step; None if that is to be measured."""
        return self.fixed or self._sizes.get(key)

    def most(self, key: str) -> int:
        """Cells of a pack."""
        return self.size(key) or UNMEASURED
