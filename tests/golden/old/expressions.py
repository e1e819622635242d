"""Reading how a case describes its inputs: ``0.5 * fill.image("x", [2, 3, 64, 96], seed=0)``.

A description is arithmetic over the generators of :mod:`fill`, sometimes followed by words. Nothing
is handed to Python's ``eval``: the syntax tree is walked and what is not listed here is refused.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import fill


class UnreadableInput(ValueError):
    """The description uses words or operations that this reader does not know."""


def _softmax(value: np.ndarray, axis: int = 1) -> np.ndarray:
    power = np.exp(value - value.max(axis, keepdims=True))
    return power / power.sum(axis, keepdims=True)


FUNCTIONS: dict[str, Callable] = {
    'image': fill.image,
    'labels': fill.labels,
    'fill_array': fill.fill_array,
    'abs': np.abs,
    'clip': np.clip,
    'exp': np.exp,
    'rint': np.rint,
    'round': np.round,
    'sqrt': np.sqrt,
    'maximum': np.maximum,
    'minimum': np.minimum,
    'softmax': _softmax,
    'zeros': lambda shape: np.zeros(shape, np.float32),
    'ones': lambda shape: np.ones(shape, np.float32),
    'full': np.full,
}
MODULES = {'fill', 'np', 'numpy', 'torch'}
OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(text: str, variables: Mapping[str, Any] | None = None) -> Any:
    """Value of the description ``text``.

    Args:
        text: An expression; then, optionally, a remark in brackets or instructions such as
            ``; in the upper half (row < 60) every label that is not 255 is set to 2``. ``<i>``
            inside a name stands for the variable ``i``, and ``...`` for the variable ``shape``.
        variables: Values of the names that the text uses.

    Raises:
        UnreadableInput: if any part of the text is not understood.
    """
    variables = dict(variables or {})
    for name, value in variables.items():
        text = text.replace(f'<{name}>', str(value))
    text = _constants_in_words(text.strip())
    tree, rest = _longest_expression(text)
    value = _Evaluator(variables).visit(tree)
    return _apply_words(value, rest, text)


def evaluate_series(text: str) -> list:
    """One value per shape: ``fill.image("x<i>", shape_i, seed=0) for i = 0..3, shapes [[..], ..]``.

    ``<i>`` counts the shapes from 0.
    """
    expression = re.split(r'\s+for i\b|,\s*shapes\b', text)[0]
    shapes = list_after('shapes', text)
    return [evaluate(expression, {'i': i, 'shape_i': shape}) for i, shape in enumerate(shapes)]


def index(text: str) -> tuple:
    """An index such as ``..., ::2, 0:4`` as a key for NumPy arrays."""
    return tuple(_one_index(part.strip()) for part in text.strip('()').split(','))


def _one_index(part: str) -> Any:
    if part == '...':
        return ...
    if ':' in part:
        return slice(*(int(number) if number.strip() else None for number in part.split(':')))
    return int(part)


def number_after(word: str, text: str) -> int:
    """The integer after ``word`` in ``text``, as in ``seed=3`` or ``seed 3``."""
    found = re.search(rf'\b{word}\s*[=:]?\s*(-?\d+)', text)
    if not found:
        raise UnreadableInput(f'no {word} in {text!r}')
    return int(found[1])


def list_after(word: str, text: str) -> list:
    """The bracketed list after ``word`` in ``text``, as in ``shapes [[1, 2], [3, 4]]``."""
    found = re.search(rf'\b{word}\b[^\[]*(\[[\[\]\d\s,.-]*\])', text)
    if not found:
        raise UnreadableInput(f'no list of {word} in {text!r}')
    return ast.literal_eval(found[1])


def _constants_in_words(text: str) -> str:
    """``zeros [1, 4]``, ``ones`` and ``all False`` become calls; without a shape, of ``...``."""
    text = re.sub(r'\b(zeros|ones)\s*(\[[\d,\s]*\])', r'\1(\2)', text)
    text = re.sub(r'^(zeros|ones)\b(?!\s*\()', r'\1(...)', text)
    return re.sub(r'^all (\w+)', r'full(..., \1)', text)


def _longest_expression(text: str) -> tuple[ast.expr, str]:
    """The longest beginning of ``text`` that is an expression we can evaluate, and what follows."""
    for end in range(len(text), 0, -1):
        if end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
            continue  # never cut a word or a number in two
        try:
            tree = ast.parse(text[:end].strip(), mode='eval').body
        except SyntaxError:
            continue
        if _Evaluator.understands(tree):
            return tree, text[end:].strip()
    raise UnreadableInput(f'no expression at the start of {text!r}')


class _Evaluator(ast.NodeVisitor):
    def __init__(self, variables: Mapping[str, Any]):
        self.variables = variables

    @staticmethod
    def understands(tree: ast.expr) -> bool:
        """Whether ``tree`` consists of the listed operations only."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                if _function_name(node.func) not in FUNCTIONS:
                    return False
            elif isinstance(node, ast.Attribute):
                if not (isinstance(node.value, ast.Name) and node.value.id in MODULES):
                    return False
            elif not isinstance(node, UNDERSTOOD):
                return False
        return True

    def generic_visit(self, node: ast.AST) -> Any:
        raise UnreadableInput(f'{ast.unparse(node)!r} is not understood')

    def visit_Constant(self, node: ast.Constant) -> Any:
        return self._variable('shape') if node.value is ... else node.value

    def visit_Name(self, node: ast.Name) -> Any:
        return self._variable(node.id)

    def visit_List(self, node: ast.List) -> list:
        return [self.visit(item) for item in node.elts]

    visit_Tuple = visit_List

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return OPERATORS[type(node.op)](self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        return OPERATORS[type(node.op)](self.visit(node.left), self.visit(node.right))

    def visit_Compare(self, node: ast.Compare) -> Any:
        if len(node.ops) > 1:
            return self.generic_visit(node)
        relation = OPERATORS[type(node.ops[0])]
        return relation(self.visit(node.left), self.visit(node.comparators[0]))

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return self.visit(node.value)[index(ast.unparse(node.slice))]

    def visit_Call(self, node: ast.Call) -> Any:
        function = FUNCTIONS[_function_name(node.func)]
        return function(
            *(self.visit(argument) for argument in node.args),
            **{keyword.arg: self.visit(keyword.value) for keyword in node.keywords},
        )

    def _variable(self, name: str) -> Any:
        if name not in self.variables:
            raise UnreadableInput(f'{name!r} has no value here')
        return self.variables[name]


UNDERSTOOD = (
    ast.Constant,
    ast.Name,
    ast.List,
    ast.Tuple,
    ast.UnaryOp,
    ast.BinOp,
    ast.Compare,
    ast.Subscript,
    ast.Slice,
    ast.keyword,
    ast.Load,
    *OPERATORS,
)


def _function_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _apply_words(value: Any, rest: str, text: str) -> Any:
    """Carry out the instructions that follow an expression; remarks in brackets change nothing."""
    for clause in filter(None, re.split(r'\s*;\s*', rest.strip(' .,'))):
        if re.fullmatch(r'\([^()]*(\([^()]*\)[^()]*)*\)', clause):
            continue
        for pattern, edit in WORDS.items():
            found = re.search(pattern, clause)
            if found:
                value = edit(value, found)
                break
        else:
            raise UnreadableInput(f'{clause!r} is not understood, in {text!r}')
    return value


def _relabel_region(labels: np.ndarray, clause: re.Match) -> np.ndarray:
    """In the rows (columns) that fulfil a relation, every label but one becomes another."""
    axis, relation, limit, kept, new = clause.groups()
    rows, columns = np.indices(labels.shape[-2:])
    compare = {'<': np.less, '<=': np.less_equal, '>': np.greater, '>=': np.greater_equal}
    inside = compare[relation](rows if axis == 'row' else columns, int(limit))
    return np.where(inside & (labels != int(kept)), int(new), labels)


def _clear_margins(mask: np.ndarray, clause: re.Match) -> np.ndarray:
    """The named margins of ``mask`` (..., H, W) become 0."""
    mask = mask.copy()
    for side, number, direction in re.findall(MARGIN, clause.string):
        axis = -2 if direction == 'row' else -1
        lines = np.arange(mask.shape[axis])
        if side in ('first', 'top', 'left'):
            cleared = lines < int(number)
        else:
            cleared = lines >= len(lines) - int(number)
        mask.swapaxes(axis, 0)[cleared] = 0
    return mask


def _multiply(value: Any, clause: re.Match) -> Any:
    return value * float(clause[1])


def _normalised(value: np.ndarray, match: re.Match) -> np.ndarray:
    """Vectors of length 1 along axis 1."""
    return value / np.linalg.norm(value, axis=1, keepdims=True)


def _quantised(value: np.ndarray, match: re.Match) -> np.ndarray:
    """``u = clip(rint(127.5 + 45*z), 0, 255)`` with z the value so far."""
    offset, factor, low, high = map(float, match.groups()[:4])
    levels = np.clip(np.rint(offset + factor * value), low, high)
    return levels.astype(np.uint8) if match[5] else levels.astype(np.float32)


def _standardised(value: np.ndarray, match: re.Match) -> np.ndarray:
    """``x = (u - mean) / std`` with numbers for the channels, axis 1."""
    mean, std = (
        np.array(ast.literal_eval(text), np.float32)[:, None, None] for text in match.groups()
    )
    return (value - mean) / std


def _squared(value: np.ndarray, match: re.Match) -> np.ndarray:
    return float(match[1] or 1) * value**2


def _shifted(value: np.ndarray, match: re.Match) -> np.ndarray:
    return float(match[1]) + float(match[2]) * value


def _cleared_row(value: np.ndarray, match: re.Match) -> np.ndarray:
    value = value.copy()
    value[int(match[1])] = 0
    return value


def _unchanged(value: np.ndarray, match: re.Match) -> np.ndarray:
    """Words that say what the values mean."""
    return value


MARGIN = r'(first|top|left|last|bottom|right) (\d+) (row|column)'
NUMBER = r'(-?[\d.]+)'
WORDS: dict[str, Callable[[Any, re.Match], Any]] = {
    r'\((row|column)s? ([<>]=?) (\d+)\).* label that is not (\d+) is set to (\d+)': _relabel_region,
    rf'{MARGIN}.* (?:is|are|set to|become) (?:0|zero)\b': _clear_margins,
    rf'(?:except|0 in|zero in) .*{MARGIN}': _clear_margins,
    r'^(?:times|multiplied by) (-?[\d.eE+-]+)$': _multiply,
    r'^times ([\d.]+), softmax over dim 1$': lambda value, match: _softmax(_multiply(value, match)),
    r'^(?:each row )?L2-normalised(?: over dim 1)?$': _normalised,
    rf'^u = clip\(rint\({NUMBER} \+ {NUMBER}\*z\), {NUMBER}, {NUMBER}\)( as uint8.*)?$': (
        _quantised
    ),
    r'^x = \(u - mean\) / std per channel, mean = (\(.*?\)), std = (\(.*?\)), float32$': (
        _standardised
    ),
    rf'^(?:{NUMBER} \* )?z\*\*2$': _squared,
    rf'^{NUMBER} \+ {NUMBER}\*z$': _shifted,
    r'^(?:then )?row (\d+) set to zero$': _cleared_row,
    r'^flattened$': lambda value, match: value.ravel(),
    r'^rows whose label is 255 are dropped': _unchanged,
    r'^the rows belong to class': _unchanged,
    r'^height, width, channel order$': _unchanged,
}
