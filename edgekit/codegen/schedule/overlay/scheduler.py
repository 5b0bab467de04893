"""Network -> OverlayProgram: layouts, places in the activation memory, commands in order."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.overlay import modes, port, rules
from edgekit.codegen.schedule.overlay.command import Op
from edgekit.codegen.schedule.overlay.layout import READ_ANYHOW, WRITTEN_ANYHOW, Layout, Needs, size_of
from edgekit.codegen.schedule.overlay.machine import Machine
from edgekit.codegen.schedule.overlay.modes import Window
from edgekit.codegen.schedule.overlay.program import OverlayProgram, Port, Step
from edgekit.codegen.schedule.overlay.rules import Context, Item, Unsuitable
from edgekit.graph.memory import place


class TooLarge(Exception):
    """The activations do not fit on the chip; ``args``: words needed, words there, the operator that has most."""


def missing(network: k.Network, machine: Machine) -> list[tuple[int, str]]:
    """Operators that the overlay does not compute, with the reason."""
    return _items(network, machine)[2]


def schedule(network: k.Network, machine: Machine) -> OverlayProgram:
    """Schedule a network that has no missing operators.

    :raises TooLarge: if its activations do not fit.
    """
    context, items, unsuitable = _items(network, machine)
    assert not unsuitable, unsuitable
    needed = 0
    for padded in (True, False):
        layouts = _layouts(context, items, padded=padded)
        slacks = _slacks(context, items, layouts)
        places, words = _placed(context, items, layouts, slacks)
        if words <= machine.act_words:
            break
        needed = min(needed or words, words)
    else:
        raise TooLarge(needed, machine.act_words, _largest(context, items, layouts))
    final = {i: replace(layout, base=places[i]) for i, layout in layouts.items()}

    def layout(tensor: int) -> Layout:
        return final[context.root(tensor)]

    steps: list[Step] = []
    for item in items:
        steps += item.emit(layout)
    steps = port.waited(machine, _without_equal_tables(steps))
    inputs, outputs = (
        tuple(_port(context, i, layout(i), network.tensors[i].shape) for i in group)
        for group in (network.inputs, network.outputs)
    )
    tensors = {
        i: _port(context, i, layout(i), t.shape)
        for i, t in enumerate(network.tensors)
        if context.root(i) in final and t.data is None
    }
    return OverlayProgram(machine, tuple(steps), inputs, outputs, words, tensors)


def _items(network: k.Network, machine: Machine) -> tuple[Context, list[Item], list[tuple[int, str]]]:
    sizes = {i: size_of(network.tensors[i].shape) for i in network.inputs}
    context = Context(network, machine, sizes, {}, {}, {})
    items: list[Item] = []
    unsuitable: list[tuple[int, str]] = []
    for index in network.inputs:
        if network.tensors[index].dtype != "int8":
            node = next((kernel.node for kernel in network.readers.get(index, [])), 0)
            unsuitable.append((node, f"its input is {network.tensors[index].dtype}"))
    for kernel in network.kernels:
        try:
            items += rules.items(context, kernel)
        except Unsuitable as error:
            if all(node != kernel.node for node, _ in unsuitable):
                unsuitable.append((kernel.node, str(error)))
            context.sizes.setdefault(kernel.output, size_of(network.tensors[kernel.output].shape))
    if network.variables:
        unsuitable.append((0, "it keeps state from one run to the next"))
    return context, items, unsuitable


def _layouts(context: Context, items: list[Item], *, padded: bool) -> dict[int, Layout]:
    """Every tensor's layout, at 0: with room where the fastest ways to read and write it ask for it."""
    tensors = {context.root(i) for item in items for i in (*item.reads, item.writes)}
    tensors |= {context.root(i) for i in (*context.network.inputs, *context.network.outputs)}
    needs = dict.fromkeys(tensors, Needs())
    for item in items if padded else []:
        if item.window is not None:
            read, written = context.root(item.reads[0]), context.root(item.writes)
            for root, need in zip((read, written), _needs(context, item.window, read, written), strict=True):
                needs[root] |= need
    pairs = [{context.root(i) for i in item.together} for item in items if item.together]
    before: dict[int, Needs] = {}
    while before != needs:
        before = dict(needs)
        for pair in pairs:
            needs |= dict.fromkeys(pair, reduce(or_, (needs[root] for root in pair)))
    return {root: need.layout(context.size(root)) for root, need in needs.items()}


def _needs(context: Context, window: Window, read: int, written: int) -> tuple[Needs, Needs]:
    """What the fastest way to compute a window asks of the layouts of input and output."""
    size = context.size(written)
    source, output = READ_ANYHOW.layout(context.size(read)), WRITTEN_ANYHOW.layout(size)
    mode, _ = modes.best_mode(context.machine, window, source, output)
    rows_beside = modes.word_steps(mode, output)[0] == output.row
    return (
        Needs(odd_pitch=mode.axis == "x", odd_row=mode.axis == "y"),
        Needs(odd_row=rows_beside and context.machine.lanes == 8, spare=modes.spill(mode, size)),
    )


def _slacks(context: Context, items: list[Item], layouts: dict[int, Layout]) -> dict[int, int]:
    found: dict[int, int] = {}
    for item in items:
        if item.window is not None:
            source, output = layouts[context.root(item.reads[0])], layouts[context.root(item.writes)]
            mode, _ = modes.best_mode(context.machine, item.window, source, output)
            root = context.root(item.writes)
            found[root] = max(found.get(root, 0), modes.slack(context.machine, item.window, mode, output))
    return found


def _placed(
    context: Context, items: list[Item], layouts: dict[int, Layout], slacks: dict[int, int]
) -> tuple[dict[int, int], int]:
    """The first word of every tensor, and how many there are in all."""
    life: dict[int, tuple[int, int]] = {}
    for index in context.network.inputs:
        life[context.root(index)] = (-1, -1)
    for number, item in enumerate(items):
        for index in (*item.reads, item.writes):
            root = context.root(index)
            first, _ = life.get(root, (number, number))
            life[root] = (first, number)
    for index in context.network.outputs:
        root = context.root(index)
        life[root] = (life.get(root, (-1, -1))[0], len(items))
    sizes = {i: 4 * (layouts[i].words + slacks.get(i, 0)) for i in life}
    places, arena = place(sizes, life)
    return {i: offset // 4 for i, offset in places.items()}, -(-arena // 4)


def _largest(context: Context, items: list[Item], layouts: dict[int, Layout]) -> int:
    """The operator whose inputs and outputs take most words."""

    def words(item: Item) -> int:
        return sum(layouts[root].words for root in {context.root(i) for i in (*item.reads, item.writes)})

    return max(items, key=words).node


def _port(context: Context, tensor: int, layout: Layout, shape: tuple[int, ...]) -> Port:
    blocks = context.blocks.get(tensor)
    if blocks is None:
        return Port(shape, layout.size, layout.base, layout.row, layout.pitch, layout.words)
    return Port(
        shape, size_of(shape), layout.base, layout.row, layout.pitch, layout.words, blocks.count, blocks.top,
        blocks.left, blocks.zero,
    )  # fmt: skip


def _without_equal_tables(steps: list[Step]) -> list[Step]:
    """The steps, where tables that are there already are not loaded again."""
    done: list[Step] = []
    loaded = b""
    for step in steps:
        if step.command.op is Op.VECTOR:
            if step.data == loaded[: len(step.data)]:
                step = replace(step, command=replace(step.command, tables=0), data=b"")
            else:
                loaded = step.data + loaded[len(step.data) :]
        done.append(step)
    return done
