"""MixNet, MobileViT, EfficientFormer, SegFormer and vision transformers: what NetsPresso's table measured.

Sources: Tan & Le 2019 (1907.09595), Mehta & Rastegari 2021 (2110.02178), Li et al. 2022 (2206.01191), Xie et al. 2021
(2105.15203), Dosovitskiy et al. 2020 (2010.11929).
"""

from __future__ import annotations

import math

from bench.measured.mobile import classify, inverted
from bench.measured.net import Net, Value, divisible

# kernels, expansion, groups of the expansion and of the projection, filters, repeats, stride, squeeze ratio, activation
_MIX_S = (
    ((3,), 1, 1, 1, 16, 1, 1, 0, "relu"), ((3,), 6, 2, 2, 24, 1, 2, 0, "relu"), ((3,), 3, 2, 2, 24, 1, 1, 0, "relu"),
    ((3, 5, 7), 6, 1, 1, 40, 1, 2, 0.5, "silu"), ((3, 5), 6, 2, 2, 40, 3, 1, 0.5, "silu"),
    ((3, 5, 7), 6, 1, 2, 80, 1, 2, 0.25, "silu"), ((3, 5), 6, 1, 2, 80, 2, 1, 0.25, "silu"),
    ((3, 5, 7), 6, 2, 2, 120, 1, 1, 0.5, "silu"), ((3, 5, 7, 9), 3, 2, 2, 120, 2, 1, 0.5, "silu"),
    ((3, 5, 7, 9, 11), 6, 1, 1, 200, 1, 2, 0.5, "silu"), ((3, 5, 7, 9), 6, 1, 2, 200, 2, 1, 0.5, "silu"),
)  # fmt: skip
_MIX_M = (
    ((3,), 1, 1, 1, 24, 1, 1, 0, "relu"), ((3, 5, 7), 6, 2, 2, 32, 1, 2, 0, "relu"),
    ((3,), 3, 2, 2, 32, 1, 1, 0, "relu"),
    ((3, 5, 7, 9), 6, 1, 1, 40, 1, 2, 0.5, "silu"), ((3, 5), 6, 2, 2, 40, 3, 1, 0.5, "silu"),
    ((3, 5, 7), 6, 1, 1, 80, 1, 2, 0.25, "silu"), ((3, 5, 7, 9), 6, 2, 2, 80, 3, 1, 0.25, "silu"),
    ((3,), 6, 1, 1, 120, 1, 1, 0.5, "silu"), ((3, 5, 7, 9), 3, 2, 2, 120, 3, 1, 0.5, "silu"),
    ((3, 5, 7, 9), 6, 1, 1, 200, 1, 2, 0.5, "silu"), ((3, 5, 7, 9), 6, 1, 2, 200, 3, 1, 0.5, "silu"),
)  # fmt: skip


def mixnet(name: str = "s", size: int = 224, classes: int = 1000) -> Net:
    """MixNet s, m, l (1.3 times as wide as m)."""
    table, wide = (_MIX_S if name == "s" else _MIX_M), 1.3 if name == "l" else 1.0
    net = Net(size, size, 3)
    x = net.conv(net.input, divisible((16 if name == "s" else 24) * wide), 3, 2, "relu")
    for kernels, expand, first, last, filters, repeats, stride, squeeze, act in table:
        for i in range(repeats):
            x = _mixed(
                net, x, kernels, expand, first, last, divisible(filters * wide), stride if i == 0 else 1, squeeze, act
            )
    return classify(net, net.conv(x, 1536, 1, act="relu"), classes)


def _parts(total: int, count: int) -> list[int]:
    """Channels in equal parts; the first takes the rest."""
    return [total - total // count * (count - 1), *[total // count] * (count - 1)]


def _apart(net: Net, x: Value, filters: int, count: int) -> Value:
    """A 1x1 convolution in parts."""
    if count == 1:
        return net.conv(x, filters, 1)
    made, start = [], 0
    for inside, outside in zip(_parts(x.channels, count), _parts(filters, count), strict=True):
        made.append(net.conv(net.split(x, start, inside), outside, 1))
        start += inside
    return net.concat(*made)


def _mixed(net: Net, x: Value, kernels: tuple[int, ...], expand: int, first: int, last: int, filters: int, stride: int,
           squeeze: float, act: str) -> Value:  # fmt: skip
    y = x if expand == 1 else net.act(_apart(net, x, expand * x.channels, first), act)
    made, start = [], 0
    for kernel, width in zip(kernels, _parts(y.channels, len(kernels)), strict=True):
        part = y if len(kernels) == 1 else net.split(y, start, width)
        made.append(net.depthwise(part, kernel, stride))
        start += width
    y = net.act(made[0] if len(made) == 1 else net.concat(*made), act)
    if squeeze:
        y = net.squeeze_excite(y, max(1, int(x.channels * squeeze)), act, "sigmoid")
    y = _apart(net, y, filters, last)
    return net.add(x, y) if stride == 1 and filters == x.channels else y


def attention(net: Net, x: Value, heads: int, *, width: int = 0, out: int = 0, keys: Value | None = None) -> Value:
    """Multi-head attention over tokens ``[n, c]``; ``keys``: tokens that are attended to, if not the same."""
    n, c = x.shape
    width, source = width or c, keys or x
    m = source.shape[0]
    q = net.transpose(net.reshape(net.dense(x, width), n, heads, width // heads), 1, 0, 2)
    k = net.transpose(net.reshape(net.dense(source, width), m, heads, width // heads), 1, 0, 2)
    v = net.transpose(net.reshape(net.dense(source, width), m, heads, width // heads), 1, 0, 2)
    y = net.matmul(net.softmax(net.matmul(q, k, transposed=True)), v)
    return net.dense(net.reshape(net.transpose(y, 1, 0, 2), n, width), out or c)


def transformer(net: Net, x: Value, heads: int, hidden: int, act: str) -> Value:
    """Pre-normalized transformer block over tokens."""
    x = net.add(x, attention(net, net.layer_norm(x), heads))
    return net.add(x, net.dense(net.dense(net.layer_norm(x), hidden, act), x.channels))


_VIT = {"s": ((32, 64, 96, 128, 160), (144, 192, 240), 4), "xs": ((32, 48, 64, 80, 96), (96, 120, 144), 4),
        "xxs": ((16, 24, 48, 64, 80), (64, 80, 96), 2)}  # fmt: skip


def mobilevit(name: str = "s", size: int = 256, classes: int = 1000) -> Net:
    """MobileViT s, xs, xxs."""
    (c1, c2, c3, c4, c5), dims, expand = _VIT[name]
    net = Net(size, size, 3)
    x = net.conv(net.input, 16, 3, 2, "silu")
    for filters, stride in ((c1, 1), (c2, 2), (c2, 1), (c2, 1)):
        x = inverted(net, x, expand * x.channels, filters, 3, stride, "silu")
    for filters, dim, depth in zip((c3, c4, c5), dims, (2, 4, 3), strict=True):
        x = inverted(net, x, expand * x.channels, filters, 3, 2, "silu")
        h, w, c = x.shape
        y = net.conv(net.conv(x, c, 3, act="silu"), dim, 1, norm=False)
        y = net.reshape(net.transpose(net.reshape(y, h // 2, 2, w // 2, 2, dim), 1, 3, 0, 2, 4), 4, h * w // 4, dim)
        for _ in range(depth):
            y = _unfolded(net, y, 4, 2 * dim)
        y = net.transpose(net.reshape(net.layer_norm(y), 2, 2, h // 2, w // 2, dim), 2, 0, 3, 1, 4)
        y = net.conv(net.reshape(y, h, w, dim), c, 1, act="silu")
        x = net.conv(net.concat(x, y), c, 3, act="silu")
    return classify(net, net.conv(x, 640 if name == "s" else 4 * c5, 1, act="silu"), classes)


def _unfolded(net: Net, x: Value, heads: int, hidden: int) -> Value:
    """A transformer block over ``[positions, n, c]``."""
    p, n, c = x.shape
    y = net.layer_norm(x)
    q, k, v = (net.transpose(net.reshape(net.dense(y, c), p, n, heads, c // heads), 0, 2, 1, 3) for _ in range(3))
    y = net.matmul(net.softmax(net.matmul(q, k, transposed=True)), v)
    x = net.add(x, net.dense(net.reshape(net.transpose(y, 0, 2, 1, 3), p, n, c), c))
    return net.add(x, net.dense(net.dense(net.layer_norm(x), hidden, "silu"), c))


_FORMER = {"l1": ((48, 96, 224, 448), (3, 2, 6, 4), 1), "l3": ((64, 128, 320, 512), (4, 4, 12, 6), 4),
           "l7": ((96, 192, 384, 768), (6, 6, 18, 8), 8)}  # fmt: skip


def efficientformer(name: str = "l1", size: int = 224, classes: int = 1000) -> Net:
    """EfficientFormer l1, l3, l7."""
    widths, depths, last = _FORMER[name]
    net = Net(size, size, 3)
    x = net.conv(net.conv(net.input, widths[0] // 2, 3, 2, "relu"), widths[0], 3, 2, "relu")
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            x = net.conv(x, width, 3, 2)
        for _ in range(depth - (last if stage == 3 else 0)):
            x = net.add(x, net.pool(x, 3, 1, "average"))
            x = net.add(x, net.conv(net.conv(x, 4 * width, 1, act="gelu"), width, 1))
    tokens = net.reshape(x, x.shape[0] * x.shape[1], x.channels)
    for _ in range(last):
        y = _wide_values(net, net.layer_norm(tokens), 8, 32, 128)
        tokens = net.add(tokens, y)
        tokens = net.add(tokens, net.dense(net.dense(net.layer_norm(tokens), 4 * x.channels, "gelu"), x.channels))
    y = net.reshape(net.layer_norm(tokens), *x.shape)
    return net.output(net.dense(net.mean(y), classes))


def _wide_values(net: Net, x: Value, heads: int, key: int, value: int) -> Value:
    """Attention whose values are wider than its keys, with a bias."""
    n, c = x.shape
    q, k = (net.transpose(net.reshape(net.dense(x, heads * key), n, heads, key), 1, 0, 2) for _ in range(2))
    v = net.transpose(net.reshape(net.dense(x, heads * value), n, heads, value), 1, 0, 2)
    y = net.matmul(net.softmax(net.matmul(q, k, transposed=True)), v)
    return net.dense(net.reshape(net.transpose(y, 1, 0, 2), n, heads * value), c)


_SEG = {"b0": ((32, 64, 160, 256), (2, 2, 2, 2), 256), "b1": ((64, 128, 320, 512), (2, 2, 2, 2), 256),
        "b2": ((64, 128, 320, 512), (3, 4, 6, 3), 768)}  # fmt: skip


def segformer(name: str = "b0", size: int = 512, classes: int = 35) -> Net:
    """SegFormer b0 to b2 with its all-MLP head."""
    widths, depths, wide = _SEG[name]
    net = Net(size, size, 3)
    x, found = net.input, []
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        x = net.conv(x, width, 7 if stage == 0 else 3, 4 if stage == 0 else 2, norm=False)
        h, w, c = x.shape
        tokens, reduce, heads = net.layer_norm(net.reshape(x, h * w, c)), 8 >> stage, (1, 2, 5, 8)[stage]
        for _ in range(depth):
            y = net.layer_norm(tokens)
            keys = y
            if reduce > 1:
                small = net.conv(net.reshape(y, h, w, c), c, reduce, reduce, norm=False)
                keys = net.layer_norm(net.reshape(small, small.shape[0] * small.shape[1], c))
            tokens = net.add(tokens, attention(net, y, heads, keys=keys))
            y = net.reshape(net.dense(net.layer_norm(tokens), 4 * c), h, w, 4 * c)
            y = net.act(net.depthwise(y, 3, norm=False), "gelu")
            tokens = net.add(tokens, net.dense(net.reshape(y, h * w, 4 * c), c))
        x = net.reshape(net.layer_norm(tokens), h, w, c)
        found.append(x)
    h, w, _ = found[0].shape
    maps = [net.resize(net.conv(y, wide, 1, norm=False), h, w, "bilinear") for y in found]
    y = net.conv(net.conv(net.concat(*reversed(maps)), wide, 1, act="relu"), classes, 1, norm=False)
    return net.output(net.resize(y, size, size, "bilinear"))


def vit(
    width: int = 192, heads: int = 3, depth: int = 12, size: int = 224, patch: int = 16, classes: int = 1000
) -> Net:
    """Vision transformer over patches; the class token is left out, the tokens are averaged."""
    net = Net(size, size, 3)
    x = net.conv(net.input, width, patch, patch, norm=False)
    tokens = net.reshape(x, math.prod(x.shape[:2]), width)
    for _ in range(depth):
        tokens = transformer(net, tokens, heads, 4 * width, "gelu")
    y = net.reshape(net.layer_norm(tokens), *x.shape)
    return net.output(net.dense(net.mean(y), classes))
