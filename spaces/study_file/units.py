"""Units of margins and claims: an amount that a metric can't differ by is one of another unit."""

from spaces.fields.declaration import ConfigError
from spaces.task import DescribedMetric


def check_unit(metric: DescribedMetric, amount: float) -> None:
    """Check that two values of a metric can differ by more than an amount.

    Args:
        metric: Metric; one without a range passes.
        amount: Margin, or amount of a claim, in the unit of the metric.

    Raises:
        ConfigError: They can't; the message gives the likely meaning.
    """
    lowest, highest = getattr(metric, "lowest", None), getattr(metric, "highest", None)
    if lowest is None or highest is None or amount < highest - lowest:
        return
    kind = (
        "is a share from 0 to 1"
        if (lowest, highest) == (0, 1)
        else (f"lies from {lowest:g} to {highest:g}")
    )
    # Percent are what such an amount is most often in.
    meant = amount / 100
    fix = f"did you mean {meant:g}?" if meant < highest - lowest else "give a smaller number"
    raise ConfigError(
        f"'{metric.name}' {kind}, so no two arms differ by more than {amount:g}; {fix}"
    )
