"""`--cfg-options` of all tools: KEY=VALUE, read without surprises; imports no mm* package."""

import argparse
import ast
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from mmsterf.errors import InvalidInput


class _CfgOptions(argparse.Action):
    """Collect KEY=VALUE of one or several `--cfg-options` into a dict."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        try:
            options.update(parse_options(values))
        except InvalidInput as error:
            raise argparse.ArgumentError(self, str(error)) from None
        setattr(namespace, self.dest, options)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the option; its value is a dict."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_CfgOptions,
        default={},
        metavar='KEY=VALUE',
        help='settings that override the config; lists as KEY="[a,b]" or KEY=a,b, elements of lists by index as in '
        'model.heads.0.KEY=VALUE. data_root=PATH moves all data sets and evaluators, '
        'classes="[cat,dog]" sets those of all data sets and heads',
    )


def parse_options(items: Union[Mapping, Sequence[str]]) -> dict:
    """Turn `['a.b=1', 'c=[x,y]']` into `{'a.b': 1, 'c': ['x', 'y']}`.

    Raises:
        InvalidInput: Names the item that is no KEY=VALUE.
    """
    if isinstance(items, Mapping):
        return dict(items)
    options = {}
    for item in items:
        key, equals, value = item.partition('=')
        if not equals or not key.strip() or any(not part or part != part.strip() for part in key.split('.')):
            raise InvalidInput(f"{item!r} is not KEY=VALUE; values with spaces need quotes, as in 'KEY=two words'")
        options[key] = parse_value(value, item)
    return options


def parse_value(text: str, item: Optional[str] = None, inside: bool = False) -> Any:
    """A number, True, False, None, a list, tuple or dict of those, or text as it is.

    As mmengine's DictAction has it, but spaces inside of text stay, and quotes protect commas and numbers.
    """
    item, text = item or text, text.strip()
    if len(text) > 1 and text[0] in '\'"' and text.find(text[0], 1) == len(text) - 1:
        inner = text[1:-1]
        # Users quote whole values for the shell: "[a,b]" and '3' are read, as mmengine reads them.
        return inner if inside else parse_value(inner, item, inside=True)
    if text.startswith('{'):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise InvalidInput(f'{item!r}: the dict is not valid Python') from None
    parts = _split(text, item)
    kind = {'()': tuple, '[]': list}.get(text[:1] + text[-1:]) if len(text) > 1 else None
    if kind and _split(text, item, whole=True):
        return kind(parse_value(part, item, inside=True) for part in _split(text[1:-1], item) if part.strip())
    if len(parts) > 1:
        return [parse_value(part, item, inside=True) for part in parts if part.strip()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return {'true': True, 'false': False, 'none': None}.get(text.lower(), text)


def _split(text: str, item: str, whole: bool = False):
    """Split at commas outside of brackets and quotes; `whole`: whether the first bracket closes at the end."""
    parts, open_brackets, quote, start = [], [], '', 0
    closes = {')': '(', ']': '[', '}': '{'}
    for i, char in enumerate(text):
        if quote:
            quote = '' if char == quote else quote
        elif char in '\'"' and (i == 0 or text[i - 1] in ' ,=([{:'):
            quote = char
        elif char in '([{':
            open_brackets.append(char)
        elif char in closes:
            if not open_brackets or open_brackets.pop() != closes[char]:
                raise InvalidInput(f'{item!r}: {char!r} closes no bracket')
            if whole and not open_brackets and i < len(text) - 1:
                return False
        elif char == ',' and not open_brackets:
            parts.append(text[start:i])
            start = i + 1
    if open_brackets or quote:
        raise InvalidInput(f'{item!r}: {(open_brackets or [quote])[-1]!r} is not closed')
    return True if whole else [*parts, text[start:]]
