"""Every `forward` has shapes in its signature; the tests check those of networks and techniques."""

import ast
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

import convergan
from convergan.networks.noise import GaussianNoise
from convergan.networks.pixels import to_network

SRC = Path(convergan.__file__).parent


def forwards() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every module's `forward`, with its place."""
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or node.name != "forward":
                continue
            # Those of autograd's functions, which have a `ctx`, are called by modules alone.
            if node.args.args[0].arg == "self":
                yield f"{path.relative_to(SRC)}:{node.lineno}", node


def has_bare_tensor(annotation: ast.expr | None) -> bool:
    """Return whether an annotation is missing or names a tensor without its shape."""
    if annotation is None:
        return True
    shaped = {
        id(inner)
        for node in ast.walk(annotation)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and hasattr(jaxtyping, node.value.id)
        for inner in ast.walk(node)
    }
    return any(
        isinstance(node, ast.Name) and node.id == "Tensor" and id(node) not in shaped
        for node in ast.walk(annotation)
    )


def test_no_forward_is_without_shapes() -> None:
    methods = list(forwards())
    assert len(methods) > 30
    bare = [
        place
        for place, node in methods
        if any(
            has_bare_tensor(annotation)
            for annotation in (*(arg.annotation for arg in node.args.args[1:]), node.returns)
        )
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("annotation", "bare"),
    [
        ("Tensor", True),
        ("list[Tensor] | None", True),
        ('Float[Tensor, "batch features"]', False),
        ('UInt8[Tensor, "n"] | Tensor', True),
        ("DiscriminatorOutput", False),
    ],
)
def test_bare_tensors_are_found(annotation: str, bare: bool) -> None:
    assert has_bare_tensor(ast.parse(annotation, mode="eval").body) is bare


def test_shapes_of_networks_are_checked_here() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        to_network(torch.zeros(2, 3, 4, dtype=torch.uint8), (0.0, 1.0))
    with pytest.raises(jaxtyping.TypeCheckError):
        GaussianNoise(0.0)(torch.zeros(3, dtype=torch.int64))
