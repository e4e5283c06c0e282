"""Loss graphs and their text form, `neg(mul(y, log(yhat)))`.

The parser keeps its own stack, so that hostile nesting is an error and no `RecursionError`.
"""

import re
from typing import Dict, List, NoReturn, Sequence, Tuple

import torch
from torch import Tensor

from . import operators

#: Longest text that is read, and most different nodes of a graph.
MOST_CHARACTERS = 1 << 20
MOST_NODES = 4096

_WORD = re.compile(r"[A-Za-z0-9_]+")
_SPACE = re.compile(r"\s*")


class GraphError(ValueError):
    """A text that is no loss, with line and column."""


class Graph:
    """A graph: nodes in order, operands before their operators, the root last.

    A node is ("one",), ("input", position) or an operator's name and the positions of its operands.
    """

    def __init__(self, nodes: Sequence[Tuple], inputs: Sequence[str]) -> None:
        self.nodes = tuple(nodes)
        self.inputs = tuple(inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The root's tensor, of inputs (N, C, H, W)."""
        values: List[Tensor] = []
        for name, *operands in self.nodes:
            if name == "one":
                values.append(torch.ones_like(inputs[0]))
            elif name == "input":
                values.append(inputs[operands[0]])
            else:
                operator = operators.BY_NAME[name]
                values.append(operator(*(values[at] for at in operands)))
        return values[-1]


def parse(text: str, inputs: Sequence[str]) -> Graph:
    """Reads the text form of a loss over inputs of these names.

    >>> parse("neg(mul(y, log(yhat)))", ["yhat", "y"]).nodes[-1]
    ('neg', 3)
    """
    return _Parser(text, inputs).graph()


class _Parser:
    def __init__(self, text: str, inputs: Sequence[str]) -> None:
        self.text = text
        self.at = 0
        self.inputs = list(inputs)
        self.known: Dict[Tuple, int] = {}

    def graph(self) -> Graph:
        if len(self.text) > MOST_CHARACTERS:
            raise GraphError(f"the text has {len(self.text)} characters, more than a loss can have")
        # Operators whose operands are still being read: name, place, operands.
        open_calls: List[Tuple[str, int, List[int]]] = []
        while True:
            word, at = self.word()
            if word in operators.ARITY:
                if not self.eat("("):
                    self.expected("'('")
                open_calls.append((word, at, []))
                continue
            done = self.leaf(word, at)
            while open_calls:
                name, at, operands = open_calls[-1]
                operands.append(done)
                if self.eat(","):
                    break
                if not self.eat(")"):
                    self.expected("',' or ')'")
                open_calls.pop()
                if len(operands) != operators.ARITY[name]:
                    wanted = operators.ARITY[name]
                    self.fail(f"{name} takes {wanted} operand(s), not {len(operands)}", at)
                done = self.add((name, *operands))
            else:
                self.space()
                if self.at < len(self.text):
                    self.expected("the end of the loss")
                # Everything else was added before the root, which it is a part of.
                return Graph(list(self.known), self.inputs)

    def leaf(self, word: str, at: int) -> int:
        if word == "1":
            return self.add(("one",))
        if word in self.inputs:
            return self.add(("input", self.inputs.index(word)))
        names = ", ".join(self.inputs)
        self.fail(f"{word[:40]!r} is no operator and no input (inputs: {names}, and 1)", at)

    def add(self, node: Tuple) -> int:
        if len(self.known) >= MOST_NODES:
            raise GraphError(f"the graph has more than {MOST_NODES} nodes")
        return self.known.setdefault(node, len(self.known))

    def word(self) -> Tuple[str, int]:
        self.space()
        found = _WORD.match(self.text, self.at)
        if found is None:
            self.expected("an operator, an input or 1")
        at, self.at = self.at, found.end()
        return found.group(), at

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def eat(self, wanted: str) -> bool:
        self.space()
        if self.text.startswith(wanted, self.at):
            self.at += len(wanted)
            return True
        return False

    def expected(self, what: str) -> NoReturn:
        self.space()
        found = _WORD.match(self.text, self.at)
        rest = found.group()[:40] if found else self.text[self.at : self.at + 1]
        shown = repr(rest) if rest else "the end of the text"
        self.fail(f"expected {what}, found {shown}", self.at)

    def fail(self, message: str, at: int) -> NoReturn:
        before = self.text[:at]
        line = before.count("\n") + 1
        column = at - (before.rfind("\n") + 1) + 1
        raise GraphError(f"line {line}, column {column}: {message}")
