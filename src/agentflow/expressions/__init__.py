"""The expression language of contracts: parse once, check types, emit Python and SQL.

Scalar expressions (rules, derived fields, filters) speak of one event's fields. Metric expressions
are arithmetic over aggregates of events.
"""

from agentflow.expressions.nodes import Aggregate, MetricNode, Node
from agentflow.expressions.parser import parse_metric, parse_scalar
from agentflow.expressions.typing import ExpressionType, Scope, infer

__all__ = [
    "Aggregate",
    "ExpressionType",
    "MetricNode",
    "Node",
    "Scope",
    "infer",
    "parse_metric",
    "parse_scalar",
]
