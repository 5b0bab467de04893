"""MobileNet v1 to v3, EfficientNet(-Lite), EfficientDet-Lite, MnasNet, ProxylessNAS, SSDLite relatives.

Sources: Howard et al. 2017 (1704.04861), Sandler et al. 2018 (1801.04381), Howard et al. 2019 (1905.02244), Tan & Le
2019 (1905.11946) with the Lite variants of tensorflow/tpu, Tan et al. 2020 (1911.09070) with the Lite variants of
google/automl, Tan et al. 2019 (1807.11626), Cai et al. 2019 (1812.00332), Liu et al. 2016 (1512.02325).
"""

from __future__ import annotations

import math

from bench.measured.net import Net, Value, divisible

_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


def classify(net: Net, x: Value, classes: int) -> Net:
    """Global average, dense layer, softmax."""
    return net.output(net.softmax(net.dense(net.mean(x), classes)))


def v1_trunk(net: Net, alpha: float, act: str = "relu6") -> list[Value]:
    """MobileNet v1 without its head; the outputs of all blocks."""
    x = net.conv(net.input, max(8, int(32 * alpha)), 3, 2, act)
    found = [x]
    for filters, stride in _V1:
        x = net.conv(net.depthwise(x, 3, stride, act), max(8, int(filters * alpha)), 1, act=act)
        found.append(x)
    return found


def mobilenet_v1(alpha: float = 1.0, size: int = 224, classes: int = 1001) -> Net:
    """Howard et al. 2017, table 1."""
    net = Net(size, size, 3)
    return classify(net, v1_trunk(net, alpha)[-1], classes)


def inverted(net: Net, x: Value, expand: int, filters: int, kernel: int, stride: int, act: str, *, squeeze: int = 0,
             gate: str = "hard_sigmoid", inner: str = "relu") -> Value:  # fmt: skip
    """Inverted residual block; ``expand`` and ``squeeze`` are channels (0: no squeeze-and-excite)."""
    y = x if expand == x.channels else net.conv(x, expand, 1, act=act)
    y = net.depthwise(y, kernel, stride, act)
    if squeeze:
        y = net.squeeze_excite(y, squeeze, inner, gate)
    y = net.conv(y, filters, 1)
    return net.add(x, y) if stride == 1 and filters == x.channels else y


_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def v2_trunk(net: Net, alpha: float) -> list[Value]:
    """MobileNet v2 up to the last 1x1 convolution, which is not part of it."""
    x = net.conv(net.input, divisible(32 * alpha), 3, 2, "relu6")
    found = [x]
    for expand, filters, repeats, stride in _V2:
        for i in range(repeats):
            x = inverted(net, x, expand * x.channels, divisible(filters * alpha), 3, stride if i == 0 else 1, "relu6")
            found.append(x)
    return found


def mobilenet_v2(alpha: float = 1.0, size: int = 224, classes: int = 1001) -> Net:
    """Sandler et al. 2018, table 2."""
    net = Net(size, size, 3)
    x = net.conv(v2_trunk(net, alpha)[-1], max(1280, divisible(1280 * alpha)), 1, act="relu6")
    return classify(net, x, classes)


_LARGE = (
    (3, 16, 16, 0, "relu", 1), (3, 64, 24, 0, "relu", 2), (3, 72, 24, 0, "relu", 1), (5, 72, 40, 1, "relu", 2),
    (5, 120, 40, 1, "relu", 1), (5, 120, 40, 1, "relu", 1), (3, 240, 80, 0, "hard_swish", 2),
    (3, 200, 80, 0, "hard_swish", 1), (3, 184, 80, 0, "hard_swish", 1), (3, 184, 80, 0, "hard_swish", 1),
    (3, 480, 112, 1, "hard_swish", 1), (3, 672, 112, 1, "hard_swish", 1), (5, 672, 160, 1, "hard_swish", 2),
    (5, 960, 160, 1, "hard_swish", 1), (5, 960, 160, 1, "hard_swish", 1),
)  # fmt: skip
_SMALL = (
    (3, 16, 16, 1, "relu", 2), (3, 72, 24, 0, "relu", 2), (3, 88, 24, 0, "relu", 1), (5, 96, 40, 1, "hard_swish", 2),
    (5, 240, 40, 1, "hard_swish", 1), (5, 240, 40, 1, "hard_swish", 1), (5, 120, 48, 1, "hard_swish", 1),
    (5, 144, 48, 1, "hard_swish", 1), (5, 288, 96, 1, "hard_swish", 2), (5, 576, 96, 1, "hard_swish", 1),
    (5, 576, 96, 1, "hard_swish", 1),
)  # fmt: skip


def mobilenet_v3(large: bool = True, alpha: float = 1.0, size: int = 224, *, minimalistic: bool = False,
                 classes: int = 1001) -> Net:  # fmt: skip
    """Howard et al. 2019, tables 1 and 2; ``minimalistic``: 3x3 kernels, ReLU, no squeeze-and-excite."""
    net = Net(size, size, 3)
    swish = "relu" if minimalistic else "hard_swish"
    x = net.conv(net.input, divisible(16 * alpha), 3, 2, swish)
    for kernel, expand, filters, squeeze, act, stride in _LARGE if large else _SMALL:
        wide = divisible(expand * alpha) if expand != x.channels else expand
        x = inverted(net, x, wide, divisible(filters * alpha), 3 if minimalistic else kernel, stride,
                     swish if act == "hard_swish" else act,
                     squeeze=divisible(wide / 4) if squeeze and not minimalistic else 0)  # fmt: skip
    x = net.conv(x, divisible((960 if large else 576) * alpha), 1, act=swish)
    last = 1280 if large else 1024
    x = net.conv(net.mean(x, keep=True), divisible(last * max(alpha, 1.0)), 1, act=swish, norm=False)
    x = net.conv(x, classes, 1, norm=False)
    return net.output(net.softmax(net.reshape(x, classes)))


_B0 = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
       (1, 3, 1, 6, 320))  # fmt: skip
LITE = {0: (1.0, 1.0, 224), 1: (1.0, 1.1, 240), 2: (1.1, 1.2, 260), 3: (1.2, 1.4, 280), 4: (1.4, 1.8, 300)}
"""EfficientNet-Lite's width, depth and resolution."""
COMPOUND = {0: (1.0, 1.0, 224), 1: (1.0, 1.1, 240), 2: (1.1, 1.2, 260), 3: (1.2, 1.4, 300), 4: (1.4, 1.8, 380)}
"""EfficientNet's width, depth and resolution."""


def lite_trunk(net: Net, number: int) -> list[Value]:
    """EfficientNet-Lite without its head: the last output at each resolution, from half the input's on."""
    width, depth, _ = LITE[number]
    x = net.conv(net.input, 32, 3, 2, "relu6")
    found = [x]
    for stage, (repeats, kernel, stride, expand, filters) in enumerate(_B0):
        times = repeats if stage in (0, len(_B0) - 1) else math.ceil(repeats * depth)
        if stride == 2:
            found.append(x)
        for i in range(times):
            x = inverted(
                net, x, expand * x.channels, divisible(filters * width), kernel, stride if i == 0 else 1, "relu6"
            )
        found[-1] = x
    return found


def efficientnet_lite(number: int, size: int = 0, classes: int = 1000) -> Net:
    """EfficientNet-Lite 0 to 4: no squeeze-and-excite, ReLU6, fixed stem and head."""
    size = size or LITE[number][2]
    net = Net(size, size, 3)
    return classify(net, net.conv(lite_trunk(net, number)[-1], 1280, 1, act="relu6"), classes)


def efficientnet(number: int = 0, classes: int = 1000) -> Net:
    """Tan & Le 2019: with squeeze-and-excite and swish."""
    width, depth, size = COMPOUND[number]
    net = Net(size, size, 3)
    x = net.conv(net.input, divisible(32 * width), 3, 2, "silu")
    for repeats, kernel, stride, expand, filters in _B0:
        for i in range(math.ceil(repeats * depth)):
            step = stride if i == 0 else 1
            x = inverted(net, x, expand * x.channels, divisible(filters * width), kernel, step, "silu",
                         squeeze=max(1, x.channels // 4), gate="sigmoid", inner="silu")  # fmt: skip
    return classify(net, net.conv(x, divisible(1280 * width), 1, act="silu"), classes)


_V2B0 = ((3, 1, 1, 16, 1, 0), (3, 2, 4, 32, 2, 0), (3, 2, 4, 48, 2, 0), (3, 2, 4, 96, 3, 1), (3, 1, 6, 112, 5, 1),
         (3, 2, 6, 192, 8, 1))  # fmt: skip


def efficientnet_v2_b0(classes: int = 1000) -> Net:
    """Tan & Le 2021 (2104.00298): fused blocks first."""
    net = Net(224, 224, 3)
    x = net.conv(net.input, 32, 3, 2, "silu")
    for kernel, stride, expand, filters, repeats, squeeze in _V2B0:
        for i in range(repeats):
            step = stride if i == 0 else 1
            if squeeze:
                x = inverted(net, x, expand * x.channels, filters, kernel, step, "silu", squeeze=x.channels // 4,
                             gate="sigmoid", inner="silu")  # fmt: skip
                continue
            if expand == 1:
                y = net.conv(x, filters, kernel, step, "silu")
            else:
                y = net.conv(net.conv(x, expand * x.channels, kernel, step, "silu"), filters, 1)
            x = net.add(x, y) if step == 1 and filters == x.channels else y
    return classify(net, net.conv(x, 1280, 1, act="silu"), classes)


DET = {"0": (0, 320, 64, 3, 3), "1": (1, 384, 88, 4, 3), "2": (2, 448, 112, 5, 3), "3": (3, 512, 160, 6, 4),
       "3x": (3, 640, 200, 6, 4), "4": (4, 640, 224, 7, 4)}  # fmt: skip
"""EfficientDet-Lite: backbone, resolution, channels and repeats of the BiFPN, repeats of the heads."""


def efficientdet_lite(name: str, classes: int = 90) -> Net:
    """Backbone EfficientNet-Lite, BiFPN with plain sums, shared heads; boxes and scores of each level."""
    backbone, size, filters, cells, repeats = DET[name]
    net = Net(size, size, 3)
    c3, c4, c5 = lite_trunk(net, backbone)[2:5]
    p6 = net.pool(net.conv(c5, filters, 1), 3, 2)
    levels = [c3, c4, c5, p6, net.pool(p6, 3, 2)]
    for _ in range(cells):
        levels = _bifpn(net, levels, filters)
    for width in (9 * classes, 9 * 4):
        for x in levels:
            for _ in range(repeats):
                x = net.conv(net.depthwise(x, 3, norm=False), filters, 1, act="relu6")
            x = net.conv(net.depthwise(x, 3, norm=False), width, 1, norm=False)
            net.output(net.reshape(x, math.prod(x.shape) // (width // 9), width // 9))
    return net


def _bifpn(net: Net, levels: list[Value], filters: int) -> list[Value]:
    """One cell: top down, then bottom up with the inputs added once more."""

    def fit(x: Value) -> Value:
        return x if x.channels == filters else net.conv(x, filters, 1)

    def node(*values: Value) -> Value:
        total = values[0]
        for place, value in enumerate(values[1:], 2):
            total = net.add(total, value, "relu6" if place == len(values) else "")
        return net.conv(net.depthwise(total, 3, norm=False), filters, 1)

    down = [*levels]
    for i in range(len(levels) - 2, -1, -1):
        h, w, _ = levels[i].shape
        down[i] = node(fit(levels[i]), net.resize(fit(down[i + 1]), h, w))
    up = [down[0]]
    for i in range(1, len(levels)):
        pooled = net.pool(up[-1], 3, 2)
        up.append(node(fit(levels[i]), down[i], pooled) if i < len(levels) - 1 else node(fit(levels[i]), pooled))
    return up


_MNAS = ((3, 3, 24, 3, 2), (3, 3, 40, 5, 2), (3, 6, 80, 5, 2), (2, 6, 96, 3, 1), (4, 6, 192, 5, 2), (1, 6, 320, 3, 1))


def mnasnet(classes: int = 1000) -> Net:
    """MnasNet-B1, as ncnn and torchvision have it."""
    net = Net(224, 224, 3)
    x = net.conv(net.input, 32, 3, 2, "relu")
    x = net.conv(net.depthwise(x, 3, 1, "relu"), 16, 1)
    for repeats, expand, filters, kernel, stride in _MNAS:
        for i in range(repeats):
            x = inverted(net, x, expand * x.channels, filters, kernel, stride if i == 0 else 1, "relu")
    return classify(net, net.conv(x, 1280, 1, act="relu"), classes)


_PROXYLESS = (
    (16, 3, 1, 1), (32, 5, 2, 3), (32, 3, 1, 3), (40, 7, 2, 3), (40, 3, 1, 3), (40, 5, 1, 3), (40, 5, 1, 3),
    (80, 7, 2, 6), (80, 5, 1, 3), (80, 5, 1, 3), (80, 5, 1, 3), (96, 5, 1, 6), (96, 5, 1, 3), (96, 5, 1, 3),
    (96, 5, 1, 3), (192, 7, 2, 6), (192, 7, 1, 6), (192, 7, 1, 3), (192, 7, 1, 3), (320, 7, 1, 6),
)  # fmt: skip


def proxylessnas(classes: int = 1000) -> Net:
    """ProxylessNAS for phones."""
    net = Net(224, 224, 3)
    x = net.conv(net.input, 32, 3, 2, "relu6")
    for filters, kernel, stride, expand in _PROXYLESS:
        x = inverted(net, x, expand * x.channels, filters, kernel, stride, "relu6")
    return classify(net, net.conv(x, 1280, 1, act="relu6"), classes)


def ssd_heads(net: Net, maps: list[Value], classes: int, anchors: tuple[int, ...], kernel: int = 1) -> Net:
    """SSD's predictors of boxes and scores, joined over all maps by their users."""
    for x, count in zip(maps, anchors, strict=True):
        for width in (4, classes):
            y = net.conv(x, count * width, kernel, norm=False)
            net.output(net.reshape(y, y.shape[0] * y.shape[1] * count, width))
    return net


def ssd_mobilenet_v1(classes: int = 91, size: int = 300) -> Net:
    """SSD with MobileNet v1, as TensorFlow's detection API has it."""
    net = Net(size, size, 3)
    trunk = v1_trunk(net, 1.0)
    return ssd_heads(net, [trunk[11], trunk[13], *_extras(net, trunk[13])], classes, (3, 6, 6, 6, 6, 6))


def ssd_mobilenet_v2(classes: int = 91, size: int = 300) -> Net:
    """SSD with MobileNet v2: the first map is the expansion of block 13."""
    net = Net(size, size, 3)
    trunk = v2_trunk(net, 1.0)
    first, last = trunk[13], net.conv(trunk[-1], 1280, 1, act="relu6")
    return ssd_heads(
        net, [net.conv(first, 576, 1, act="relu6"), last, *_extras(net, last)], classes, (3, 6, 6, 6, 6, 6)
    )


def _extras(net: Net, x: Value) -> list[Value]:
    maps = []
    for inner, filters in ((256, 512), (128, 256), (128, 256), (64, 128)):
        x = net.conv(net.conv(x, inner, 1, act="relu6"), filters, 3, 2, "relu6")
        maps.append(x)
    return maps
