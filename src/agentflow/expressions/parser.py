"""Precedence-climbing parser of scalar expressions and of metric expressions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import assert_never

from agentflow.errors import ExpressionError
from agentflow.expressions.aggregates import AGGREGATES, OTHER_AGGREGATES, WORDS, AggregateKind
from agentflow.expressions.aggregates import hint as hint_of_aggregates
from agentflow.expressions.functions import WRITTEN_ELSEWHERE
from agentflow.expressions.lexemes import Lexeme, lexemes
from agentflow.expressions.nodes import (
    Aggregate,
    AggregateInput,
    And,
    Arithmetic,
    Call,
    Case,
    Combine,
    Comparison,
    Constant,
    FieldReference,
    IsNull,
    Membership,
    MetricNode,
    Negative,
    Node,
    Not,
    Number,
    Or,
    depth,
)
from agentflow.wording import quoted

_COMPARISONS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_RESERVED = frozenset(
    {"and", "or", "not", "in", "is", "null", "true", "false", "between"}
    | {"case", "when", "then", "else", "end", "filter", "where", "distinct"}
)
MAX_DEPTH = 60
MAX_LEVELS = 80
"""Of the tree, where each `or`, `+` and `when` of a chain is one: Python nests brackets to 200."""
MAX_DIGITS = 38


def parse_scalar(text: str) -> Node:
    """Parse an expression over one event's fields.

    >>> parse_scalar("amount > 0")
    Comparison(operator='>', left=FieldReference(name='amount'), right=Constant(value=0))

    Raises:
        ExpressionError: With the position of what does not fit.
    """
    parser = _Parser(text)
    node = parser.scalar()
    parser.expect_end()
    _refuse_deep(node)
    return node


def parse_metric(
    text: str, *, events: Collection[str], metrics: Mapping[str, str] = MappingProxyType({})
) -> MetricNode:
    """Parse a metric's value.

    Args:
        text: The value.
        events: The event names that may be spoken of.
        metrics: The value of each metric by its name: for a hint where a metric is named.

    Raises:
        ExpressionError: With the position of what does not fit.
    """
    parser = _Parser(text, events=events, metrics=metrics)
    node = parser.metric()
    parser.expect_end()
    _refuse_deep(node)
    return node


def _refuse_deep(node: Node | MetricNode) -> None:
    if (levels := depth(node)) > MAX_LEVELS:
        raise ExpressionError(
            f"expression has {levels} levels, more than {MAX_LEVELS}",
            hint="Each or, and, + of a chain is a level: write x in ('a', 'b'), or split it up.",
        )


class _Parser:
    """A cursor over lexemes, with one method per precedence level."""

    def __init__(
        self,
        text: str,
        *,
        events: Collection[str] = (),
        metrics: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._lexemes = lexemes(text)
        self._index = 0
        self._depth = 0
        self._events = frozenset(events)
        self._metrics = metrics
        self._event: str | None = None  # the event whose fields are in scope, once known

    # -- cursor

    @property
    def _current(self) -> Lexeme:
        return self._lexemes[self._index]

    def _advance(self) -> Lexeme:
        lexeme = self._current
        self._index += 1
        return lexeme

    def _take(self, *texts: str) -> Lexeme | None:
        lexeme = self._current
        if lexeme.kind in {"operator", "name"} and lexeme.keyword in texts:
            return self._advance()
        return None

    def _expect(self, text: str) -> Lexeme:
        lexeme = self._take(text)
        if lexeme is None:
            raise self._unexpected(quoted(text))
        return lexeme

    def expect_end(self) -> None:
        """Raise unless everything was read."""
        if self._current.kind != "end":
            raise self._unexpected("the end")

    def _unexpected(self, wanted: str, *, hint: str | None = None) -> ExpressionError:
        lexeme = self._current
        found = quoted(lexeme.text) if lexeme.text else "the end"
        return ExpressionError(
            f"expected {wanted} but found {found} at position {lexeme.position + 1}",
            position=lexeme.position,
            hint=hint or WRITTEN_ELSEWHERE.get(lexeme.keyword),
        )

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"expression is nested deeper than {MAX_DEPTH}")

    # -- scalar expressions

    def scalar(self) -> Node:
        """Parse the loosest level: `or`."""
        self._deeper()
        node = self._conjunction()
        while self._take("or"):
            node = Or(node, self._conjunction())
        self._depth -= 1
        return node

    def _conjunction(self) -> Node:
        node = self._negation()
        while self._take("and"):
            node = And(node, self._negation())
        return node

    def _negation(self) -> Node:
        if self._take("not"):
            self._deeper()
            node = Not(self._negation())
            self._depth -= 1
            return node
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        lexeme = self._take(*_COMPARISONS)
        if lexeme:
            if self._current.text == "=":
                raise self._unexpected("a value", hint="Equality is one sign: status = 'paid'.")
            return Comparison(_COMPARISONS[lexeme.text], left, self._sum())  # type: ignore[arg-type]
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self._take("not")
        if self._take("in"):
            inside: Node = Membership(left, self._options())
        elif self._take("between"):
            low = self._sum()
            self._expect("and")
            inside = And(Comparison(">=", left, low), Comparison("<=", left, self._sum()))
        elif negated:
            raise self._unexpected('"in" or "between"')
        else:
            return left
        return Not(inside) if negated else inside

    def _options(self) -> tuple[Constant, ...]:
        self._expect("(")
        options = [self._constant()]
        while self._take(","):
            options.append(self._constant())
        self._expect(")")
        return tuple(options)

    def _constant(self) -> Constant:
        node = self._unary()
        if isinstance(node, Negative) and isinstance(node.operand, Constant):
            value = node.operand.value
            if isinstance(value, int | Decimal):
                return Constant(-value)
        if not isinstance(node, Constant) or node.value is None:
            raise self._unexpected("a literal")
        return node

    def _sum(self) -> Node:
        node = self._product()
        while lexeme := self._take("+", "-"):
            node = Arithmetic(lexeme.text, node, self._product())  # type: ignore[arg-type]
        return node

    def _product(self) -> Node:
        node = self._unary()
        while lexeme := self._take("*", "/"):
            if lexeme.text == "/":
                raise ExpressionError(
                    f"fields cannot be divided, at position {lexeme.position + 1}",
                    position=lexeme.position,
                    hint="Division is for metrics: divide aggregates, as in sum(a) / count(b).",
                )
            node = Arithmetic("*", node, self._unary())
        return node

    def _unary(self) -> Node:
        if self._take("-"):
            self._deeper()
            node = Negative(self._unary())
            self._depth -= 1
            return node
        return self._primary()

    def _primary(self) -> Node:
        lexeme = self._current
        if lexeme.kind == "number":
            self._advance()
            return Constant(_number(lexeme))
        if lexeme.kind == "text":
            self._advance()
            return Constant(lexeme.text[1:-1].replace("''", "'"))
        if self._take("("):
            node = self.scalar()
            self._expect(")")
            return node
        if lexeme.kind == "name":
            return self._named(self._advance())
        raise self._unexpected("a value")

    def _named(self, lexeme: Lexeme) -> Node:
        keyword = lexeme.keyword
        if keyword in {"true", "false"}:
            return Constant(keyword == "true")
        if keyword == "null":
            return Constant(None)
        if keyword == "case":
            return self._case()
        if keyword in _RESERVED:
            self._index -= 1
            raise self._unexpected("a value")
        if self._take("("):
            return self._call(lexeme)
        return FieldReference(self._field_name(lexeme))

    def _call(self, lexeme: Lexeme) -> Call:
        if lexeme.keyword in WORDS:
            raise ExpressionError(
                f'"{lexeme.text}" at position {lexeme.position + 1} is an aggregate, '
                "and here one event is looked at",
                position=lexeme.position,
                hint="Aggregates stand outside: sum(sale.amount) filter (where amount > 10).",
            )
        arguments = [self.scalar()]
        while self._take(","):
            arguments.append(self.scalar())
        self._expect(")")
        return Call(lexeme.keyword, tuple(arguments))

    def _case(self) -> Case:
        branches: list[tuple[Node, Node]] = []
        while self._take("when"):
            condition = self.scalar()
            self._expect("then")
            branches.append((condition, self.scalar()))
        if not branches:
            hint = "Write the whole condition: case when status = 'paid' then 1 else 0 end."
            raise self._unexpected('"when"', hint=hint)
        otherwise = self.scalar() if self._take("else") else Constant(None)
        self._expect("end")
        return Case(tuple(branches), otherwise)

    def _field_name(self, lexeme: Lexeme) -> str:
        event, _, name = lexeme.text.rpartition(".")
        if not event:
            return lexeme.text
        if event not in self._events:
            if not self._events:
                raise ExpressionError(
                    f'"{lexeme.text}" at position {lexeme.position + 1} '
                    "is not a field of this event",
                    position=lexeme.position,
                    hint="Name fields without their event here: amount, not payment.amount.",
                )
            raise self._unknown_event(lexeme, event)
        if self._event is not None and event != self._event:
            raise ExpressionError(
                f'fields of "{self._event}" and "{event}" cannot meet in one aggregate, '
                f"at position {lexeme.position + 1}",
                position=lexeme.position,
                hint="Aggregate each event by itself and combine the aggregates.",
            )
        self._event = event
        return name

    def _unknown_event(self, lexeme: Lexeme, event: str) -> ExpressionError:
        place = f"at position {lexeme.position + 1}"
        name = lexeme.text
        owner, _, field = name.rpartition(".")
        if name in self._events:
            message = f'"{name}" {place} is an event, and here a field of it is needed'
            hint = f"Write event.field, as in sum({name}.amount)."
        elif event in self._metrics:
            message = f'"{event}" {place} is a metric, and not an event'
            hint = self._value_of(event)
        elif owner in self._events:
            message = f'"{name}" {place} is a field, and events are counted'
            hint = (
                f"Write count({owner}) for all, count(distinct {name}) for its values, or"
                f" count({owner}) filter (where {field} is not null) for those that have it."
            )
        else:
            message = f'event "{event}" does not exist, {place}'
            hint = f"Known events: {', '.join(sorted(self._events)) or 'none'}."
        return ExpressionError(message, position=lexeme.position, hint=hint)

    def _value_of(self, metric: str) -> str:
        return (
            "A metric is made of events, and not of metrics: in place of"
            f" {quoted(metric)} write its value, {self._metrics[metric]}."
        )

    # -- metric expressions

    def metric(self) -> MetricNode:
        """Parse sums and differences of aggregates."""
        self._deeper()
        node = self._metric_product()
        while lexeme := self._take("+", "-"):
            node = Combine(lexeme.text, node, self._metric_product())  # type: ignore[arg-type]
        self._depth -= 1
        return node

    def _metric_product(self) -> MetricNode:
        node = self._metric_primary()
        while lexeme := self._take("*", "/"):
            node = Combine(lexeme.text, node, self._metric_primary())  # type: ignore[arg-type]
        return node

    def _metric_primary(self) -> MetricNode:
        lexeme = self._current
        if lexeme.kind == "number":
            self._advance()
            return Number(_number(lexeme))
        if self._take("("):
            node = self.metric()
            self._expect(")")
            return node
        if lexeme.kind == "name" and lexeme.keyword in WORDS:
            self._advance()
            return self._aggregate(WORDS[lexeme.keyword])
        raise self._unexpected("an aggregate or a number", hint=self._hint_of_aggregates())

    def _hint_of_aggregates(self) -> str:
        lexeme, following = self._current, self._lexemes[self._index + 1 : self._index + 2]
        aggregates = hint_of_aggregates()
        if lexeme.keyword in OTHER_AGGREGATES:
            return OTHER_AGGREGATES[lexeme.keyword]
        if lexeme.text in self._metrics:
            return self._value_of(lexeme.text)
        if lexeme.kind == "name" and not (following and following[0].text == "("):
            return f"A metric is made of events, and not of fields or metrics alone. {aggregates}"
        return aggregates

    def _aggregate(self, kind: AggregateKind) -> Aggregate:
        self._expect("(")
        q: Decimal | None = None
        match AGGREGATES[kind].form:
            case "events" if self._take("distinct"):
                kind, inputs = "distinct", self._several(self._measured)
            case "events" | "distinct values":
                inputs = self._several(self._event_input)
            case "value":
                inputs = (self._measured(),)
            case "value and fraction":
                inputs = (self._measured(),)
                self._expect(",")
                q = self._fraction()
            case unknown:
                assert_never(unknown)
        self._expect(")")
        return Aggregate(kind, inputs, self._filter(inputs), q)

    def _several(self, read: Callable[[], AggregateInput]) -> tuple[AggregateInput, ...]:
        inputs = [read()]
        while self._take(","):
            inputs.append(read())
        return tuple(inputs)

    def _event_input(self) -> AggregateInput:
        lexeme = self._current
        if lexeme.kind != "name":
            known = ", ".join(sorted(self._events))
            example = f"count({min(self._events, default='order.created')})"
            hint = f"Name the event to count, as in {example}."
            if len(self._events) > 1:
                hint += f" Known events: {known}."
            raise self._unexpected("an event name", hint=hint)
        if lexeme.text not in self._events:
            raise self._unknown_event(lexeme, lexeme.text)
        self._advance()
        return AggregateInput(lexeme.text, None)

    def _measured(self) -> AggregateInput:
        start = self._current
        self._event = None
        value = self.scalar()
        event = self._event
        self._event = None
        if event is None:
            is_metric = start.text in self._metrics
            raise ExpressionError(
                f"an aggregate must name its event, at position {start.position + 1}",
                position=start.position,
                hint=self._value_of(start.text)
                if is_metric
                else "Write event.field, as in sum(payment.captured.amount).",
            )
        return AggregateInput(event, value)

    def _filter(self, inputs: tuple[AggregateInput, ...]) -> Node | None:
        if not self._take("filter"):
            return None
        self._expect("(")
        self._expect("where")
        self._event = inputs[0].event if len(inputs) == 1 else None
        node = self.scalar()
        self._event = None
        self._expect(")")
        return node

    def _fraction(self) -> Decimal:
        lexeme = self._current
        if lexeme.kind != "number" or not 0 < Decimal(lexeme.text) < 1:
            raise self._unexpected("a quantile between 0 and 1, such as 0.95")
        self._advance()
        return Decimal(_number(lexeme))


def _number(lexeme: Lexeme) -> int | Decimal:
    if len(lexeme.text.replace(".", "")) > MAX_DIGITS:
        raise ExpressionError(
            f"a number at position {lexeme.position + 1} has more than {MAX_DIGITS} digits",
            position=lexeme.position,
        )
    return Decimal(lexeme.text) if "." in lexeme.text else int(lexeme.text)
