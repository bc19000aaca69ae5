"""An attacker on published sums: exact linear algebra and exact linear programming over fractions.

How it works
    `rank` tells whether any combination of the published figures, whatever its coefficients, speaks of some atoms
    alone. `bounds` solves for the least and the greatest value that a hidden sum can have, when parts are not
    negative: the simplex method with Bland's rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Row = list[Fraction]


def rank(rows: Sequence[Sequence[int]]) -> int:
    """Return the rank of a matrix."""
    matrix = [[Fraction(value) for value in row] for row in rows]
    found = 0
    for column in range(len(matrix[0]) if matrix else 0):
        pivot = next((n for n in range(found, len(matrix)) if matrix[n][column]), None)
        if pivot is None:
            continue
        matrix[found], matrix[pivot] = matrix[pivot], matrix[found]
        _clear(matrix, found, column)
        found += 1
    return found


def speaks_of(rows: Sequence[Sequence[int]], columns: set[int]) -> bool:
    """Say whether some combination of the rows is not zero, and is zero outside these columns."""
    if not rows:
        return False
    outside = [[value for n, value in enumerate(row) if n not in columns] for row in rows]
    return rank(rows) > rank(outside)


def derives(rows: Sequence[Sequence[int]], wanted: Sequence[int]) -> bool:
    """Say whether a combination of the rows is exactly this one."""
    return rank([*rows, wanted]) == rank(rows)


def bounds(rows: Sequence[Sequence[int]], values: Sequence[int], wanted: Sequence[int]) -> tuple[Fraction, Fraction]:
    """Return the least value of `wanted`, and the greatest or -1 for none, where rows give `values` and parts >= 0."""
    least = _least(rows, values, [Fraction(one) for one in wanted])
    greatest = _least(rows, values, [Fraction(-one) for one in wanted])
    assert least is not None  # a sum of parts that are not negative is not below zero
    return least, Fraction(-1) if greatest is None else -greatest


def _least(rows: Sequence[Sequence[int]], values: Sequence[int], cost: Row) -> Fraction | None:
    """Minimise; None when there is no least value. Artificial variables first, then the cost."""
    count, width = len(rows), len(cost)
    table: list[Row] = []
    for n, (row, value) in enumerate(zip(rows, values, strict=True)):
        extra = [Fraction(int(n == m)) for m in range(count)]
        table.append([*(Fraction(one) for one in row), *extra, Fraction(value)])
    basis = list(range(width, width + count))
    goal = [-sum((row[n] for row in table), Fraction(0)) for n in range(width)]
    table.append([*goal, *([Fraction(0)] * count), -sum((row[-1] for row in table), Fraction(0))])
    _descend(table, basis, width)
    for n in range(count):  # an artificial variable that stays in the basis is zero: put a real one in its place
        column = next((m for m in range(width) if table[n][m]), None)
        if basis[n] >= width and column is not None:
            _clear(table, n, column)
            basis[n] = column
    table[-1] = [*cost, *([Fraction(0)] * count), Fraction(0)]
    for n, column in enumerate(basis):
        if column < width and table[-1][column]:
            factor = table[-1][column]
            table[-1] = [one - factor * other for one, other in zip(table[-1], table[n], strict=True)]
    return -table[-1][-1] if _descend(table, basis, width) else None


def _descend(table: list[Row], basis: list[int], width: int) -> bool:
    """Pivot until no column lowers the goal; False when it has no end."""
    while True:
        column = next((n for n in range(width) if table[-1][n] < 0), None)
        if column is None:
            return True
        ratios = [(row[-1] / row[column], basis[n], n) for n, row in enumerate(table[:-1]) if row[column] > 0]
        if not ratios:
            return False
        leaving = min(ratios)[2]
        _clear(table, leaving, column)
        basis[leaving] = column


def _clear(matrix: list[Row], pivot: int, column: int) -> None:
    """Make the pivot one and the rest of its column zero."""
    factor = matrix[pivot][column]
    matrix[pivot] = [one / factor for one in matrix[pivot]]
    for n, row in enumerate(matrix):
        if n != pivot and row[column]:
            times = row[column]
            matrix[n] = [one - times * other for one, other in zip(row, matrix[pivot], strict=True)]
