"""Figures of the package's structure, and the picture of its wings.

`python -m benchmarks.structure` prints the figures; `--draw` also writes `docs/architecture.svg`, which a test holds to
the imports. Imports are read from the sources: those inside functions and for types count as any other, and a face
(`__init__.pyi`) imports the modules whose names it hands out.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "scalr"
PICTURE = ROOT.parents[1] / "docs" / "architecture.svg"
SIDE = {"engines": -1, "evaluation": 1, "studies": 1, "report": 1}
"""Wings that are drawn left or right of the middle, since engines and studies do not meet."""
WIDTH, BOX_WIDTH, BOX_HEIGHT, ROW, ASIDE = 900, 436, 46, 76, 226  # pixels

Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def files() -> Mapping[str, Path]:
    """Return every module of the package by its dotted name."""
    return {module_name(file): file for file in sorted(ROOT.rglob("*.py"))}


def module_name(file: Path) -> str:
    """Return the dotted name of a source file."""
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def wings() -> tuple[str, ...]:
    """Return the folders directly below the package."""
    return tuple(sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()))


def wing_of(module: str) -> str:
    """Return the wing of a module; empty for the package itself and `__main__`."""
    part = [*module.split("."), ""][1]
    return part if part in wings() else ""


@cache
def tree(module: str) -> ast.Module:
    """Return the parsed source of a module."""
    return ast.parse(files()[module].read_text(encoding="utf-8"))


@cache
def names_imported(module: str) -> frozenset[tuple[str, str]]:
    """Return (module, name) of each import of scalr in a module; the name is empty for `import module`.

    A submodule that another wing takes from a face counts as a name of the face.
    """
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{module} uses a relative import")
            source = str(node.module)
            is_face = source.count(".") == 1 and wing_of(source) not in ("", wing_of(module))
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found.add((inner, "") if inner in files() and not is_face else (source, alias.name))
    return frozenset((source, name) for source, name in found if source.split(".")[0] == "scalr")


def imports_of(module: str) -> set[str]:
    """Return the modules of scalr that a module imports."""
    return {source for source, _ in names_imported(module)} - {module}


def face_imports(module: str) -> set[str]:
    """Return the modules whose names a face hands out; empty for other modules."""
    stub = files()[module].with_suffix(".pyi")
    if files()[module].name != "__init__.py" or not stub.is_file():
        return set()
    nodes = [node for node in ast.walk(ast.parse(stub.read_text())) if isinstance(node, ast.ImportFrom)]
    pairs = {
        (f"{module}.{node.module}" if node.module else module, alias.name) for node in nodes for alias in node.names
    }
    return {f"{source}.{name}" if f"{source}.{name}" in files() else source for source, name in pairs} & set(files())


def graph() -> dict[str, set[str]]:
    """Return the imports of every module, those of faces included."""
    return {module: imports_of(module) | face_imports(module) for module in files()}


def reachable(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return what each node reaches over one edge or more; a node on a cycle reaches itself."""
    reach = {node: set(targets) for node, targets in edges.items()}
    for middle, beyond in reach.items():
        for targets in reach.values():
            if middle in targets:
                targets |= beyond
    return reach


def wing_edges() -> dict[str, set[str]]:
    """Return the wings that each wing imports."""
    edges: dict[str, set[str]] = {wing: set() for wing in wings()}
    for module in files():
        for target in imports_of(module):
            if wing_of(module) and wing_of(target) not in ("", wing_of(module)):
                edges[wing_of(module)].add(wing_of(target))
    return edges


def names_between(wing: str, other: str) -> int:
    """Return how many names of the face of `other` a wing uses."""
    used = {
        name
        for module in files()
        if wing_of(module) == wing
        for source, name in names_imported(module)
        if wing_of(source) == other
    }
    return len(used)


def levels(edges: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the longest chain of imports below each node, which must be free of cycles."""
    memory: dict[str, int] = {}

    def level(node: str) -> int:
        if node not in memory:
            memory[node] = 1 + max((level(target) for target in edges[node]), default=-1)
        return memory[node]

    return {node: level(node) for node in edges}


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method.

    Attributes:
        module: Dotted name of its module.
        name: Its name.
        lines: Lines from `def` to the end, decorators left out.
        parameters: Number of parameters without `self` and `cls`.
    """

    module: str
    name: str
    lines: int
    parameters: int

    @property
    def is_kernel(self) -> bool:
        """Return whether its module holds compiled loops."""
        return ".kernels." in self.module


def functions() -> Iterator[Function]:
    """Yield every function of the package."""
    for module in files():
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                given = [*node.args.posonlyargs, *node.args.args]
                own = 1 if given and given[0].arg in ("self", "cls") else 0
                count = len(given) + len(node.args.kwonlyargs) - own
                yield Function(module, node.name, node.end_lineno - node.lineno + 1, count)


def repeated_names() -> dict[str, list[str]]:
    """Return public top-level classes and functions that several modules define; subcommands are all `command`."""
    places: dict[str, list[str]] = {}
    for module in files():
        for node in tree(module).body:
            if isinstance(node, Node) and not node.name.startswith("_") and node.name != "command":
                places.setdefault(node.name, []).append(module)
    return {name: modules for name, modules in places.items() if len(modules) > 1}


def quantile(values: list[int], share: float) -> int:
    """Return the value below which about `share` of the values lie."""
    return sorted(values)[int(share * len(values))]


def seconds(*command: str) -> float:
    """Return the wall seconds of a command, the fastest of five runs."""

    def once() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return time.perf_counter() - start

    return min(once() for _ in range(5))


def figures() -> list[tuple[str, str]]:
    """Return the rows of the table that `main` prints."""
    between, inside = wing_edges(), graph()
    reach, every = reachable(inside), list(functions())
    level = levels(between)
    upward = sum(level[wing] <= level[other] for wing, targets in between.items() for other in targets)
    lines = [one.lines for one in every]
    top = len([path for path in ROOT.iterdir() if path.name not in ("__pycache__", "py.typed", "__init__.pyi")])
    most = {kernel: max(one.parameters for one in every if one.is_kernel == kernel) for kernel in (True, False)}
    lengths = [quantile(lines, 0.5), quantile(lines, 0.9), quantile(lines, 0.99), max(lines)]
    names, size = repeated_names(), [len(file.read_text().splitlines()) for file in files().values()]
    bare = seconds("-c", "pass")
    return [
        ("top-level entries of src/scalr", str(top)),
        (
            "wings, levels, imports between them",
            f"{len(between)}, {max(level.values()) + 1}, {sum(map(len, between.values()))}",
        ),
        ("imports that run up", str(upward)),
        ("modules on a cycle, faces included", str(sum(module in reach[module] for module in reach))),
        ("modules, lines, longest module", f"{len(size)}, {sum(size):,}, {max(size)}"),
        ("functions; lines p50 / p90 / p99 / longest", f"{len(lines):,}; {' / '.join(map(str, lengths))}"),
        ("most parameters, kernels / elsewhere", f"{most[True]} / {most[False]}"),
        ("public names with two meanings", str(len(names)) + (f" ({', '.join(sorted(names))})" if names else "")),
        ("seconds of `import scalr` beyond Python's own", f"{seconds('-c', 'import scalr') - bare:.3f}"),
        ("seconds of `scalr --help`", f"{seconds('-m', 'scalr', '--help'):.2f}"),
    ]


def purposes() -> dict[str, str]:
    """Return what each wing is for: the list in the docstring of the package."""
    lines = str(ast.get_docstring(tree("scalr"))).splitlines()
    return {
        line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.split()[:1] and line.split()[0] in wings()
    }


def direct(edges: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Return the edges that no longer chain implies."""
    reach = reachable(edges)
    return [
        (wing, other)
        for wing, targets in sorted(edges.items())
        for other in sorted(targets)
        if not any(other in reach[middle] for middle in targets - {other})
    ]


def drawing() -> str:
    """Return the picture of the wings as SVG: a box each, arrows for imports that no chain of others implies."""
    edges = wing_edges()
    level = levels(edges)
    height = (max(level.values()) + 1) * ROW + 24
    place = {
        wing: (WIDTH // 2 + SIDE.get(wing, 0) * ASIDE, height - 24 - level[wing] * ROW - BOX_HEIGHT // 2)
        for wing in edges
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title">',
        '<title id="title">The ten wings of scalr and their imports, from the command down to the foundation</title>',
        "<style>text{font:12px system-ui,sans-serif;fill:#1f2933}.name{font-weight:600;font-size:15px}"
        ".few{font-size:11px;fill:#52606d}.edge{paint-order:stroke;stroke:#fff;stroke-width:5}rect{fill:#f5f7fa;stroke:#7b8794}path{fill:none;stroke:#7b8794;stroke-width:1.5}"
        ".head{fill:#7b8794;stroke:none}@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.few{fill:#9aa5b1}.edge{stroke:#0d1117}"
        "rect{fill:#1f2933;stroke:#7b8794}}</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0L10 5L0 10z"/></marker></defs>',
    ]
    for wing, other in direct(edges):
        (x, y), (to_x, to_y) = place[wing], place[other]
        begin, end = y + BOX_HEIGHT // 2, to_y - BOX_HEIGHT // 2
        middle = (begin + end) // 2
        parts.append(f'<path marker-end="url(#head)" d="M{x} {begin}C{x} {middle} {to_x} {middle} {to_x} {end}"/>')
        words = f"{names_between(wing, other)} names"
        parts.append(f'<text class="few edge" x="{(x + to_x) // 2 + 8}" y="{middle + 4}">{words}</text>')
    purpose = purposes()
    for wing, (x, y) in sorted(place.items()):
        left, wide = x - BOX_WIDTH // 2, BOX_WIDTH
        n_files = sum(wing_of(module) == wing for module in files())
        parts += [
            f'<rect x="{left}" y="{y - BOX_HEIGHT // 2}" width="{wide}" height="{BOX_HEIGHT}" rx="6"/>',
            f'<text class="name" x="{left + 14}" y="{y - 3}">{wing}</text>',
            f'<text class="few" x="{left + wide - 14}" y="{y - 3}" text-anchor="end">{n_files} files</text>',
            f'<text x="{left + 14}" y="{y + 15}">{purpose[wing]}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Print the figures; draw the picture if asked to."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--draw", action="store_true", help=f"write {PICTURE.relative_to(ROOT.parents[1])}")
    if parser.parse_args().draw:
        PICTURE.write_text(drawing(), encoding="utf-8")
    rows = figures()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


if __name__ == "__main__":
    main()
