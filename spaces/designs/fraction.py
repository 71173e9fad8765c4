"""Regular two-level fractions of a factorial: which product of base columns each factor is."""

import itertools

# A study of more arms is a slip of the pen and no table, and would take seconds to plan.
MOST_ARMS = 1_024


def fraction_generators(factors: int, resolution: int) -> list[tuple[int, ...]]:
    """Choose the columns of a small two-level fraction: each a product of these base columns.

    Args:
        factors: Number of columns.
        resolution: Number of columns below which no product of columns is constant.
    """
    # pyDOE3's own choice of columns (`fracfact_by_res`, 1.6.2) misses small fractions, 4 runs for 3
    # factors at resolution 3, and keeps no track of products of products, which can be shorter
    # words; so columns are chosen here and multiplied there.
    for base in range(2, factors):
        if 2**base > MOST_ARMS:
            break
        columns: list[tuple[int, ...]] = []
        # products[n]: of at most n columns, each as a set of base columns. A new one that is
        # among those of `resolution - 2` would make a constant of fewer than `resolution`.
        products: list[set[int]] = [{0} for _ in range(resolution - 1)]
        words = itertools.chain.from_iterable(
            itertools.combinations(range(base), size)
            for size in (1, *range(resolution - 1, base + 1))
        )
        for word in words:
            new = sum(1 << base_column for base_column in word)
            if new in products[-1]:
                continue
            for larger, smaller in itertools.pairwise(reversed(products)):
                larger |= {known ^ new for known in smaller}
            columns.append(word)
            if len(columns) == factors:
                return columns
    return [(base_column,) for base_column in range(factors)]  # no fraction: the factorial
