"""Which combinations of factors are drawn, and how often: correlations and left out combinations.

Both are written as the yaml files of `disentangling-correlated-factors` have them (Roth et al.,
"Disentanglement of Correlated Factors via Hausdorff Factorized Support", ICLR 2023), or as
dictionaries of the same form. Values of a factor are its places divided by the last one: 0, ..., 1.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srvae_plugin.data.sampling.splits import rows_left_out, split_of

__all__ = ["Rule", "factor_named", "left_out", "pair_weights", "read_rule"]

Rule = str | Mapping[Any, Any]
"""A dictionary, or "file.yaml" or "file.yaml:entry"; "labels.npz" of combinations."""
_IN_VAIN = 1000
"""Draws in a row that leave out nothing more before it is given up."""
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda values, value: np.isclose(values, value, rtol=0, atol=1e-3),
    ">=": lambda values, value: values >= value - 1e-9,
    "<=": lambda values, value: values <= value + 1e-9,
    ">": lambda values, value: values > value + 1e-9,
    "<": lambda values, value: values < value - 1e-9,
}
_ARITHMETIC = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_SAME = {
    "posx": ("positionx", "horizontalaxis"), "posy": ("positiony", "verticalaxis"),
    "floorcol": ("floorcolor",), "wallcol": ("wallcolor",), "objcol": ("objectcolor",),
    "objsize": ("objectsize",), "objtype": ("objecttype",), "objshape": ("objectshape",),
    "objazimuth": ("azimuth",), "backcol": ("backgroundcolor",),
}  # fmt: skip
"""The repository's names of factors, and ours, in lower case letters alone."""


def read_rule(rule: Rule, key: str) -> Mapping[Any, Any]:
    """A rule as a dictionary with `correlations` or `constraints`.

    Args:
        rule: a dictionary, of the whole form or what is under `key` alone; or a yaml file.
        key: "correlations" or "constraints"; of the latter a file of labels too, see
            `splits.rows_left_out`.

    Raises:
        ValueError: naming the file, and what was expected.
    """
    if not isinstance(rule, str):
        return rule if key in rule else {key: rule}
    if key == "constraints" and rule.endswith(".npz"):
        return {key: rule}
    import yaml

    path, _, entry = rule.partition(":")
    try:
        found = yaml.safe_load(Path(path).expanduser().read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"dataset.{key} = {rule!r}: cannot be read: {why}") from None
    if entry:
        if not isinstance(found, dict) or entry not in found:
            known = ", ".join(map(str, found)) if isinstance(found, dict) else "none"
            raise ValueError(f"dataset.{key} = {rule!r}: {path} has no {entry!r}; it has {known}")
        found = found[entry]
    if not isinstance(found, dict) or key not in found:
        names = [str(name) for name in found] if isinstance(found, dict) else []
        raise ValueError(
            f"dataset.{key} = {rule!r}: expected {key!r} in it, or one of its entries: "
            f"'{path}:{names[0] if names else 'name'}'"
        )
    return found


def factor_named(name: str, names: Sequence[str], key: str) -> int:
    """Place of a factor, whose name may be the repository's.

    Raises:
        ValueError: there is none.
    """
    plain = [_letters(each) for each in names]
    for wanted in (_letters(name), *_SAME.get(_letters(name), ())):
        if wanted in plain:
            return plain.index(wanted)
    raise ValueError(f"dataset.{key}: no factor {name!r}; the factors are {', '.join(names)}")


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def pair_weights(
    rule: Mapping[Any, Any], names: Sequence[str], sizes: Sequence[int], seed: int
) -> NDArray[np.float64]:
    """Weight of every combination: the product over pairs of exp(-(u - v)^2 / (2 sigma^2)).

    Source: Traeuble et al., "On Disentangled Representations Learned from Correlated Data", ICML
    2021. With `inverse`, in the rule, 1 - v takes the place of v.

    Args:
        rule: `correlations`, {(name, name): sigma}, a name being "random" for any factor whose pair
            has no sigma yet; `repeat`, ["count", n], n being a number, "max_num_single" or
            "max_num_pairs"; or ["coverage", share of the pairs].
        names, sizes: of the factors.
        seed: of what is random; the repository draws it unseeded.

    Raises:
        ValueError: a pair that does not exist, or a sigma that is not above 0.
    """
    random_state = np.random.RandomState(seed)
    free = [(i, k) for i in range(len(names)) for k in range(i + 1, len(names))]
    weights = np.ones(sizes)
    pairs = {_pair(key): sigma for key, sigma in dict(rule["correlations"] or {}).items()}
    for _ in range(_passes(rule.get("repeat"), len(names), len(free))):
        for (one, other), sigma in pairs.items():
            i, k = _place(one, other, names, free, random_state)
            free.remove((min(i, k), max(i, k)))
            value = sigma[random_state.randint(len(sigma))] if isinstance(sigma, list) else sigma
            if value == "none":
                continue
            if not isinstance(value, int | float) or not value > 0:
                raise ValueError(
                    f"dataset.correlations: sigma of {one!r} and {other!r} is {value!r}: expected "
                    "a number above 0"
                )
            u, v = _values(sizes[i]), _values(sizes[k])
            if rule.get("inverse"):
                v = 1 - v
            factor = np.exp(-((u[:, None] - v) ** 2) / (2 * value**2))
            shape = [1] * len(sizes)
            shape[i], shape[k] = sizes[i], sizes[k]
            weights = weights * (factor if i < k else factor.T).reshape(shape)
    return weights


def _pair(key: Any) -> tuple[str, str]:
    """("a", "b") of that tuple, of its text, or of "a, b"."""
    parts = key if isinstance(key, tuple | list) else str(key).strip("() ").split(",")
    names = [str(part).strip(" '\"") for part in parts]
    if len(names) != 2 or names[0] == names[1] != "random":
        raise ValueError(f"dataset.correlations: {key!r}: expected two factors, 'shape, scale' say")
    return names[0], names[1]


def _passes(repeat: Any, num_factors: int, num_pairs: int) -> int:
    if not repeat or repeat[0] == "none":
        return 1
    named = {"max_num_single": num_factors - 1, "max_num_pairs": num_pairs}
    if repeat[0] == "count":
        return named.get(repeat[1]) or int(repeat[1])
    if repeat[0] == "coverage":
        return int(repeat[1] * num_pairs)
    raise ValueError(f"dataset.correlations: repeat = {repeat}: expected count or coverage")


def _place(
    one: str,
    other: str,
    names: Sequence[str],
    free: Sequence[tuple[int, int]],
    random_state: np.random.RandomState,
) -> tuple[int, int]:
    """Places of the two factors of a pair; those that are random are drawn."""
    known = [factor_named(n, names, "correlations") for n in (one, other) if n != "random"]
    fitting = [pair for pair in free if set(known) <= set(pair)]
    if not fitting:
        raise ValueError(
            f"dataset.correlations: {one!r} and {other!r}: expected a pair of different factors "
            "that is not correlated yet; there is none left"
        )
    pair = fitting[random_state.randint(len(fitting))] if len(known) < 2 else fitting[0]
    return pair if not known or pair[0] == known[0] else (pair[1], pair[0])


def _values(size: int) -> NDArray[np.float64]:
    return np.arange(size) / max(1, size - 1)


def left_out(
    rule: Mapping[Any, Any], names: Sequence[str], sizes: Sequence[int], seed: int
) -> NDArray[np.bool_]:
    """Which combinations are left out.

    Args:
        rule: `constraints`, {name: [comparison, value]} or the repository's other forms: "or" or
            "random" and a list of these; ["==", values, k] for k of them side by side; the name
            "all" or "random" for all the other factors, or one of them; a list for one of it;
            "random" as a value. `connect`, "and" or "or". `repeat`, ["coverage", share] or
            ["count", number] of combinations; or ["coverage_with_hullmin", share, k] of those
            with k factors at an end. Or `constraints`, {"split": "extrapolation"}, see
            `splits.split_of`, with `factors`, the names of those that it concerns if not all; or
            a file of labels, see `splits.rows_left_out`.
        names, sizes: of the factors.
        seed: of what is random; the repository draws it unseeded.

    Raises:
        ValueError: something else, or a value that does not exist.
    """
    if isinstance(rule["constraints"], str):
        return rows_left_out(rule["constraints"], sizes)
    constraints = dict(rule["constraints"])
    if isinstance(constraints.get("split"), str):
        return _split(constraints, names, sizes, seed)
    random_state = np.random.RandomState(seed)
    repeat = list(rule.get("repeat") or ["none"])
    total = int(np.prod(sizes))
    if repeat[0] == "none":
        return _once(constraints, rule.get("connect", "and"), names, sizes, random_state)
    asked: dict[str, Callable[[Any], int]] = {
        "count": int,
        "coverage": lambda share: int(total * float(share)),
    }
    asked["coverage_with_hullmin"] = asked["coverage"]
    if repeat[0] not in asked:
        raise ValueError(f"dataset.constraints: repeat = {repeat}: expected one of {[*asked]}")
    number = asked[repeat[0]](repeat[1])
    if number < 1:
        raise ValueError(
            f"dataset.constraints: repeat = {repeat}: leaves out {number} of {total} combinations; "
            "expected at least one"
        )
    out = np.zeros(sizes, dtype=bool)
    if constraints == {"all": ["==", "random"]}:
        eligible = np.arange(total)
        if repeat[0] == "coverage_with_hullmin":
            ends = [np.isin(np.arange(size), (0, size - 1)) for size in sizes]
            counts = sum(np.ix_(*[each.astype(int) for each in ends]))
            eligible = np.flatnonzero(np.asarray(counts) >= repeat[2])
        if number > len(eligible):
            raise ValueError(
                f"dataset.constraints: repeat asks for {number} combinations to be left out; only "
                f"{len(eligible)} qualify"
            )
        out.reshape(-1)[random_state.choice(eligible, number, replace=False)] = True
        return out
    in_vain = 0
    while np.count_nonzero(out) < number:
        more = _once(constraints, rule.get("connect", "and"), names, sizes, random_state)
        adds = np.count_nonzero(more) <= number and (more & ~out).any()
        in_vain = 0 if adds else in_vain + 1
        if in_vain == _IN_VAIN:
            raise ValueError(
                f"dataset.constraints: repeat = {repeat}: only {np.count_nonzero(out)} of the "
                f"{number} combinations asked for fit the constraints: {_IN_VAIN} draws in a row "
                "added none, or left out more than asked for at once; ask for another number"
            )
        if adds:
            out |= more
    # Up to a tenth more than asked for stays, as in the repository.
    if (over := np.count_nonzero(out) - number - int(0.1 * number)) > 0:
        found = np.flatnonzero(out)
        out.reshape(-1)[random_state.choice(found, over, replace=False)] = False
    return out


def _split(
    rule: Mapping[str, Any], names: Sequence[str], sizes: Sequence[int], seed: int
) -> NDArray[np.bool_]:
    if unknown := rule.keys() - {"split", "share", "factors"}:
        raise ValueError(
            f"dataset.constraints: {sorted(unknown)[0]!r}: a split has share and factors"
        )
    named = rule.get("factors", names)
    columns = [factor_named(name, names, "constraints") for name in named]
    return split_of(rule, columns, sizes, seed)


def _once(
    constraints: Mapping[str, Any],
    connect: str,
    names: Sequence[str],
    sizes: Sequence[int],
    random_state: np.random.RandomState,
) -> NDArray[np.bool_]:
    if connect not in ("and", "or"):
        raise ValueError(f"dataset.constraints: connect = {connect!r}: expected 'and' or 'or'")
    by_factor: dict[int, Any] = {}
    commands = [name for name in constraints if name.split("_")[0] in ("all", "random")]
    for name in constraints:
        if name not in commands:
            by_factor[factor_named(name, names, "constraints")] = constraints[name]
    for name in commands:
        rest = [place for place in range(len(names)) if place not in by_factor]
        if rest and name.split("_")[0] == "random":
            rest = [rest[random_state.randint(len(rest))]]
        by_factor |= dict.fromkeys(rest, constraints[name])
    out = np.full(sizes, connect == "and")
    for place, constraint in by_factor.items():
        fits = _fitting(constraint, sizes[place], names[place], random_state)
        shape = [1] * len(sizes)
        shape[place] = -1
        out = out & fits.reshape(shape) if connect == "and" else out | fits.reshape(shape)
    return out


def _fitting(
    constraint: Any, size: int, name: str, random_state: np.random.RandomState
) -> NDArray[np.bool_]:
    """(value,) which values of a factor fit one of its constraints."""
    if not isinstance(constraint, list | tuple) or len(constraint) not in (2, 3):
        raise ValueError(f"dataset.constraints: {name} = {constraint!r}: expected ['>=', 0.5], say")
    if len(constraint) == 3:
        comparison, options, length = constraint
        start = random_state.randint(len(options) - length + 1)
        chosen: list[Any] = [[comparison, each] for each in options[start : start + length]]
    elif constraint[0] == "or":
        chosen = constraint[1]
    elif constraint[0] == "random":
        chosen = [constraint[1][random_state.randint(len(constraint[1]))]]
    else:
        chosen = [constraint]
    values, fits = _values(size), np.zeros(size, dtype=bool)
    for comparison, value in chosen:
        compare = _one_of(comparison, random_state)
        number = _one_of(value, random_state)
        if number == "random":
            number = values[random_state.randint(size)]
        if compare not in _COMPARISONS:
            raise ValueError(
                f"dataset.constraints: {name}: {compare!r}: expected one of {[*_COMPARISONS]}"
            )
        found = _COMPARISONS[compare](values, _number(number, name))
        if compare == "==" and not found.any():
            raise ValueError(
                f"dataset.constraints: {name} == {number}: it has {np.round(values, 4).tolist()}"
            )
        fits |= found
    return fits


def _one_of(options: Any, random_state: np.random.RandomState) -> Any:
    while isinstance(options, list | tuple):
        options = options[random_state.randint(len(options))]
    return options


def _number(text: Any, name: str) -> float:
    """A number, or a text such as "4/4."."""
    if isinstance(text, int | float):
        return float(text)

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return float(node.value)
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](value(node.left), value(node.right))
        raise ValueError

    try:
        return value(ast.parse(str(text), mode="eval").body)
    except (ValueError, SyntaxError, ZeroDivisionError):
        raise ValueError(f"dataset.constraints: {name}: {text!r} is not a number") from None
