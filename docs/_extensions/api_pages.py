"""Reference pages from what the package itself says: its public names, their docstrings, the recipes.

`{public-names} techniques networks` documents the public names of these parts of the package, in the order
of the parts, and within each in that of `__init__.pyi`; `{recipes}` documents all recipes.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import takewhile
from typing import Any, ClassVar

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

import convergan
from convergan.ranges import Checked, declarations, expected
from convergan.recipes import presets
from convergan.recipes.files import recipe_to_dict
from convergan.recipes.settings import Recipe
from docstrings import as_rst


def names_of(parts: Sequence[str]) -> list[str]:
    """The public names that stand in these modules and packages of the package, each once."""
    names = [
        name
        for part in parts
        for name, module in convergan._MODULE_OF.items()
        if f"{module}.".startswith(f"convergan.{part}.")
    ]
    return [*dict.fromkeys(names)]


def documentation(name: str) -> list[str]:
    """The reStructuredText that documents a public name."""
    value = getattr(convergan, name)
    if inspect.isclass(value) and issubclass(value, Checked):
        return settings_documentation(name, value)
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        return [f".. {kind}:: convergan.{name}", "   :members:", ""]
    if callable(value):
        return [f".. autofunction:: convergan.{name}", ""]
    text = " ".join(as_rst(_comment(name)))
    return [f".. py:data:: convergan.{name}", "", f"   {text}", ""]


def settings_documentation(name: str, settings: Any) -> list[str]:
    """A class of settings: each field with its option, its range and its default."""
    text = [f".. py:class:: convergan.{name}", ""]
    text += _indented([*as_rst(inspect.getdoc(settings).split("\n"))])
    described = _fields(settings)
    for field in fields(settings):
        default = _default(field)
        text += [f"   .. py:attribute:: {field.name}", "      :no-index-entry:"]
        text += [] if default is None else [f"      :value: {default}"]
        option = f"{settings._group}{field.name}".replace("_", "-")
        takes = expected(declarations(settings)[field.name])
        text += ["", *_indented(as_rst([f"`{option}`: {takes}."]), 6)]
        text += _indented(as_rst(described.get(field.name, [])), 6)
    return text


def _fields(settings: type) -> dict[str, list[str]]:
    """The documentation of each field, that of a base class's too."""
    described: dict[str, list[str]] = {}
    for base in reversed(settings.__mro__):
        if base.__module__.startswith("convergan."):
            comments = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
            described |= {
                field: lines for (owner, field), lines in comments.items() if owner == base.__name__
            }
    return described


def _default(field: Any) -> str | None:
    """The default as Python writes it; None where there is none, or it is a group of settings."""
    return None if field.default is MISSING else repr(field.default)


def _comment(name: str) -> list[str]:
    """The documentation beneath a variable."""
    comments = ModuleAnalyzer.for_module(convergan._MODULE_OF[name]).find_attr_docs()
    return comments["", name]


def _indented(lines: Sequence[str], width: int = 3) -> list[str]:
    return [f"{' ' * width}{line}".rstrip() for line in lines]


class PublicNames(SphinxDirective):
    """All public names of some parts of the package: a summary, then each of them, then their `types`.

    These are classes that public functions take or return, named as what they are defined in has them.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[Any] = {"types": str.split}

    def run(self) -> list[nodes.Node]:
        names = names_of(self.arguments[0].split())
        if not names:
            raise self.error(f"no public names in {self.arguments[0]}")
        text = [*summary(names), *(line for name in names for line in documentation(name))]
        if types := self.options.get("types"):
            text += [".. rubric:: What these take and return", ""]
            for name in types:
                text += [f".. autoclass:: convergan.{name}", "   :members:", ""]
        return self.parse_text_to_nodes("\n".join(["````{eval-rst}", *text, "````"]))


def summary(names: Sequence[str]) -> list[str]:
    """A table of public names, each with the first paragraph of what is said of it."""
    text = [".. list-table::", "   :class: public-names", "   :widths: 40 60", ""]
    for name in names:
        value = getattr(convergan, name)
        lines = (inspect.getdoc(value) or "").split("\n") if callable(value) else _comment(name)
        paragraph = takewhile(str.strip, lines)
        words = " ".join(as_rst(list(paragraph))).strip()
        text += [f"   * - :py:obj:`~convergan.{name}`", f"     - {words}"]
    return [*text, ""]


class PublicReferences(SphinxTransform):
    """Leads types to the public names that they have, and leaves those of other packages as text."""

    default_priority = 5

    def apply(self, **options: Any) -> None:
        public = {f"{module}.{name}": name for name, module in convergan._MODULE_OF.items()}
        for node in list(self.document.findall(addnodes.pending_xref)):
            target = node["reftarget"]
            if node.get("refdomain") != "py":
                continue
            if target in public:
                node["reftarget"] = f"convergan.{public[target]}"
            elif not target.startswith("convergan.") and target not in convergan.__all__:
                node.replace_self(node.children)


class Recipes(SphinxDirective):
    """Every recipe: what its file says, and the settings in which it differs from the defaults."""

    def run(self) -> list[nodes.Node]:
        text = "\n".join(line for name in presets.PRESETS for line in recipe_documentation(name))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def recipe_documentation(name: str) -> Iterator[str]:
    """The Markdown that documents a recipe."""
    recipe = presets.PRESETS[name]
    yield from (f"## `{name}`", "")
    documents = {file.RECIPE.name: file.__doc__ for file in presets._FILES}
    yield from inspect.cleandoc(documents.get(name) or presets.SUMMARIES[name]).split("\n")
    defaults = recipe_to_dict(Recipe(name=name, networks=type(recipe.networks)()))
    changed = _changed(recipe_to_dict(recipe), defaults)
    changed["networks"] = {"kind": recipe.networks.kind, **changed.get("networks", {})}
    settings = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
    yield from ("", "```yaml", *settings.rstrip().split("\n"), "```", "")


def _changed(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from the defaults, group by group."""
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(defaults.get(name), dict):
            value = _changed(value, defaults[name])
            if value:
                changed[name] = value
        elif name not in defaults or value != defaults[name]:
            changed[name] = value
    return changed


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("public-names", PublicNames)
    app.add_directive("recipes", Recipes)
    app.add_transform(PublicReferences)
    return {"parallel_read_safe": True}
