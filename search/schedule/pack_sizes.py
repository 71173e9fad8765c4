"""Pack sizes: how many cells a pack may hold, as measured or as the user chose."""

from collections.abc import Iterable

from spaces.abilities import PackSize

UNMEASURED = 32  # cells of the first pack of a key; the worker measures and splits it as it must


class PackSizes:
    """The numbers of members in one step by pack key, on the device of this run."""

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
            measured: Pack sizes of this run's folder, on whatever device and data.
            device: Kind of the workers' device, `cpu` or `cuda`.
            data: Fingerprint of the data.
            fixed: Size that the user chose, instead of any measurement.
        """
        self.data = data
        self.fixed = fixed
        self._measured = list(measured)
        self.use_device(device)

    def use_device(self, device: str) -> None:
        """Use the sizes that were measured on this kind of device."""
        self.device = device
        self._sizes: dict[str, int] = {}
        for one in self._measured:
            if one.data == self.data and (one.device == "cpu") == (device == "cpu"):
                self.add_measured(one)

    def add_measured(self, measured: PackSize) -> None:
        """Add a measured pack size; the largest one holds."""
        # Workers have the same share of memory, and one that was disturbed while it measured finds
        # a size that is too small.
        known = self._sizes.get(measured.pack_key, measured.size)
        self._sizes[measured.pack_key] = max(known, measured.size)

    def size_for(self, key: str) -> int | None:
        """Return the number of members in one step; None if it is to be measured."""
        return self.fixed or self._sizes.get(key)

    def most_cells(self, key: str) -> int:
        """Return the largest number of cells in a pack."""
        return self.size_for(key) or UNMEASURED
