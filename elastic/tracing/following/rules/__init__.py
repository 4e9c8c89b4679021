"""What each operation does to cells, by family; `RULES` has them all."""

from elastic.tracing.following.rules import constants, joining, norms, products, reductions, reshaping, slicing
from elastic.tracing.following.rules.elementwise import elementwise, is_elementwise
from elastic.tracing.following.rules.registry import RULES, Rule, rule

FAMILIES = (constants, joining, norms, products, reductions, reshaping, slicing)

__all__ = ["FAMILIES", "RULES", "Rule", "elementwise", "is_elementwise", "rule"]
