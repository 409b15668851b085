"""The last expression of a cell given a name, as if the cell ended with an assignment."""

from __future__ import annotations

import ast


def bind_last(tree: ast.Module, name: str) -> bool:
    """Have the value of the last expression assigned to `name`; False where the cell ends with something else.

    >>> tree = ast.parse("x = 1\\nx + 1")
    >>> bind_last(tree, "y"), ast.unparse(tree)
    (True, 'x = 1\\ny = x + 1')
    """
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return False
    last = tree.body[-1]
    assign = ast.Assign([ast.Name(name, ast.Store())], last.value)
    tree.body[-1] = ast.fix_missing_locations(ast.copy_location(assign, last))
    return True
