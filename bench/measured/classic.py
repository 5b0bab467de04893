"""ResNets, detectors on them, NAS-Bench-201, and the small networks of ncnn's table.

Sources: He et al. 2015 (1512.03385; stride in the 3x3 convolution, as MLPerf's ResNet-50 v1.5), Xie et al. 2016
(1611.05431), Lin et al. 2017 (1708.02002), Dong & Yang 2020 (2001.00326), Iandola et al. 2016 (1602.07360), Zhang et
al. 2017 (1707.01083), Ma et al. 2018 (1807.11164), Szegedy et al. 2014 (1409.4842), Simonyan & Zisserman 2014
(1409.1556), Krizhevsky 2014 (1404.5997), Radosavovic et al. 2020 (2003.13678), Bazarevsky et al. 2019 (1907.05047).
"""

from __future__ import annotations

from bench.measured.mobile import classify, ssd_heads, v1_trunk
from bench.measured.net import Net, Value

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet_stages(net: Net, depth: int, *, groups: int = 1, base: int = 64, size: int = 4) -> list[Value]:
    """The outputs of the stages; from 50 layers on with bottlenecks. ``groups`` and ``base``: ResNeXt."""
    x = net.pool(net.conv(net.input, 64, 7, 2, "relu"), 3, 2)
    found = []
    for stage, repeats in enumerate(DEPTHS[depth][:size]):
        filters = 64 << stage
        for i in range(repeats):
            stride = 2 if stage and i == 0 else 1
            if depth < 50:
                y = net.conv(net.conv(x, filters, 3, stride, "relu"), filters, 3)
            else:
                wide = filters * base * groups // 64
                y = net.conv(net.conv(x, wide, 1, act="relu"), wide, 3, stride, "relu", groups=groups)
                y = net.conv(y, 4 * filters, 1)
            if stride != 1 or x.channels != y.channels:
                x = net.conv(x, y.channels, 1, stride)
            x = net.add(x, y, "relu")
        found.append(x)
    return found


def resnet(depth: int, size: int = 224, classes: int = 1000) -> Net:
    """ResNet of 18 to 152 layers."""
    net = Net(size, size, 3)
    return classify(net, resnet_stages(net, depth)[-1], classes)


def ssd_resnet34(size: int = 1200, classes: int = 81) -> Net:
    """MLPerf's large detector: three stages of ResNet-34 at stride 8, and extra maps."""
    net = Net(size, size, 3)
    x = net.pool(net.conv(net.input, 64, 7, 2, "relu"), 3, 2)
    for filters, repeats, first in ((64, 3, 1), (128, 4, 2), (256, 6, 1)):
        for i in range(repeats):
            stride = first if i == 0 else 1
            y = net.conv(net.conv(x, filters, 3, stride, "relu"), filters, 3)
            if stride != 1 or x.channels != filters:
                x = net.conv(x, filters, 1, stride)
            x = net.add(x, y, "relu")
    maps = [x]
    for inner, filters, stride in ((256, 512, 2), (256, 512, 2), (128, 256, 2), (128, 256, 1), (128, 256, 1)):
        x = net.conv(net.conv(x, inner, 1, act="relu", norm=False), filters, 3, stride, "relu", norm=False,
                     padding="same" if stride == 2 else "valid")  # fmt: skip
        maps.append(x)
    maps = [net.pool(maps[0], 3, 3, padding="valid") if size > 1000 else maps[0], *maps[1:]]
    return ssd_heads(net, maps, classes, (4, 6, 6, 6, 4, 4), 3)


def retinanet(size: int = 800, classes: int = 264) -> Net:
    """MLPerf's RetinaNet: ResNeXt-50 32x4d, feature pyramid, two heads of four convolutions."""
    net = Net(size, size, 3)
    c3, c4, c5 = resnet_stages(net, 50, groups=32, base=4)[1:]
    p5 = net.conv(c5, 256, 1, norm=False)
    p4 = net.add(net.conv(c4, 256, 1, norm=False), net.resize(p5, *c4.shape[:2]))
    p3 = net.add(net.conv(c3, 256, 1, norm=False), net.resize(p4, *c3.shape[:2]))
    levels = [net.conv(p, 256, 3, norm=False) for p in (p3, p4, p5)]
    levels.append(net.conv(levels[-1], 256, 3, 2, norm=False))
    levels.append(net.conv(net.act(levels[-1], "relu"), 256, 3, 2, norm=False))
    for width in (4, classes):
        for x in levels:
            for _ in range(4):
                x = net.conv(x, 256, 3, act="relu", norm=False)
            y = net.conv(x, 9 * width, 3, act="sigmoid" if width > 4 else "", norm=False)
            net.output(net.reshape(y, y.shape[0] * y.shape[1] * 9, width))
    return net


def nb201(cell: str, classes: int = 10) -> Net:
    """NAS-Bench-201: stem of 16, three stages of five cells at 32, 16 and 8 pixels, ResNet blocks between.

    :param cell: as ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|``.
    """
    nodes = [[edge.split("~") for edge in node.strip("|").split("|")] for node in cell.split("+")]
    net = Net(32, 32, 3)
    x = net.conv(net.input, 16, 3)
    for stage, filters in enumerate((16, 32, 64)):
        if stage:
            y = net.conv(net.conv(x, filters, 3, 2, "relu"), filters, 3)
            x = net.add(y, net.conv(net.pool(x, 2, 2, "average"), filters, 1, norm=False))
        for _ in range(5):
            x = _cell(net, x, nodes)
    return net.output(net.dense(net.mean(net.act(x, "relu")), classes))


def _cell(net: Net, x: Value, nodes: list[list[list[str]]]) -> Value:
    values: list[Value | None] = [x]
    for edges in nodes:
        total: Value | None = None
        for op, source in edges:
            data = values[int(source)]
            if op == "none" or data is None:
                continue
            if op.startswith("nor_conv"):
                data = net.conv(net.act(data, "relu"), data.channels, int(op[-1]))
            elif op.startswith("avg_pool"):
                data = net.pool(data, 3, 1, "average")
            total = data if total is None else net.add(total, data)
        values.append(total)
    return values[-1] or net.multiply(x, x)


def squeezenet(classes: int = 1000, size: int = 227) -> Net:
    """SqueezeNet 1.1."""
    net = Net(size, size, 3)
    x = _squeeze_trunk(net)
    return net.output(net.softmax(net.mean(net.conv(x, classes, 1, act="relu", norm=False))))


def _squeeze_trunk(net: Net) -> Value:
    x = net.pool(net.conv(net.input, 64, 3, 2, "relu", norm=False), 3, 2)
    for place, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        expand = 4 * squeeze
        y = net.conv(x, squeeze, 1, act="relu", norm=False)
        x = net.concat(net.conv(y, expand, 1, act="relu", norm=False), net.conv(y, expand, 3, act="relu", norm=False))
        if place in (1, 3):
            x = net.pool(x, 3, 2)
    return x


def squeezenet_ssd() -> Net:
    """SqueezeNet with SSD's extra maps, 300 pixels."""
    net = Net(300, 300, 3)
    x = _squeeze_trunk(net)
    maps = [x]
    for inner, filters in ((128, 256), (128, 256), (128, 256), (64, 128)):
        x = net.conv(net.conv(x, inner, 1, act="relu", norm=False), filters, 3, 2, "relu", norm=False)
        maps.append(x)
    return ssd_heads(net, maps, 21, (4, 6, 6, 6, 6), 3)


def ssd_mobilenet_voc() -> Net:
    """MobileNet-SSD with 21 classes."""
    net = Net(300, 300, 3)
    trunk = v1_trunk(net, 1.0, "relu")
    x, maps = trunk[13], [trunk[11], trunk[13]]
    for inner, filters in ((256, 512), (128, 256), (128, 256), (64, 128)):
        x = net.conv(net.conv(x, inner, 1, act="relu"), filters, 3, 2, "relu")
        maps.append(x)
    return ssd_heads(net, maps, 21, (3, 6, 6, 6, 6, 6))


def mobilenet_yolo() -> Net:
    """MobileNet v1 at 416 pixels with YOLO v3's heads."""
    net = Net(416, 416, 3)
    trunk = v1_trunk(net, 1.0, "relu")
    a, b = trunk[13], trunk[11]
    net.output(net.conv(a, 75, 1, norm=False))
    up = net.resize(net.conv(a, 512, 1, act="relu"), *b.shape[:2])
    joined = net.conv(net.depthwise(net.concat(up, b), 3, 1, "relu"), 512, 1, act="relu")
    return net.output(net.conv(joined, 75, 1, norm=False))


def shufflenet(groups: int = 3, classes: int = 1000) -> Net:
    """ShuffleNet v1, 1x."""
    net = Net(224, 224, 3)
    x = net.pool(net.conv(net.input, 24, 3, 2, "relu"), 3, 2)
    for stage, (filters, repeats) in enumerate(((240, 4), (480, 8), (960, 4))):
        for i in range(repeats):
            out = filters - (x.channels if i == 0 else 0)
            y = net.conv(x, filters // 4, 1, act="relu", groups=1 if stage == i == 0 else groups)
            y = net.depthwise(net.shuffle(y, groups), 3, 2 if i == 0 else 1)
            y = net.conv(y, out, 1, groups=groups)
            joined = net.concat(net.pool(x, 3, 2, "average"), y) if i == 0 else x
            x = net.act(joined, "relu") if i == 0 else net.add(x, y, "relu")
    return classify(net, x, classes)


def shufflenet_v2(classes: int = 1000) -> Net:
    """ShuffleNet v2, 1x."""
    net = Net(224, 224, 3)
    x = net.pool(net.conv(net.input, 24, 3, 2, "relu"), 3, 2)
    for filters, repeats in ((116, 4), (232, 8), (464, 4)):
        half = filters // 2
        for i in range(repeats):
            if i == 0:
                left = net.conv(net.depthwise(x, 3, 2), half, 1, act="relu")
                right = x
            else:
                left, right = net.split(x, 0, half), net.split(x, half, half)
            y = net.conv(right, half, 1, act="relu")
            y = net.conv(net.depthwise(y, 3, 2 if i == 0 else 1), half, 1, act="relu")
            x = net.shuffle(net.concat(left, y), 2)
    return classify(net, net.conv(x, 1024, 1, act="relu"), classes)


_INCEPTION = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip


def googlenet(classes: int = 1000) -> Net:
    """GoogLeNet without its auxiliary heads."""
    net = Net(224, 224, 3)
    x = net.pool(net.conv(net.input, 64, 7, 2, "relu", norm=False), 3, 2)
    x = net.conv(net.conv(x, 64, 1, act="relu", norm=False), 192, 3, act="relu", norm=False)
    x = net.pool(x, 3, 2)
    for place, (one, r3, three, r5, five, pooled) in enumerate(_INCEPTION):
        if place in (2, 7):
            x = net.pool(x, 3, 2)
        x = net.concat(
            net.conv(x, one, 1, act="relu", norm=False),
            net.conv(net.conv(x, r3, 1, act="relu", norm=False), three, 3, act="relu", norm=False),
            net.conv(net.conv(x, r5, 1, act="relu", norm=False), five, 5, act="relu", norm=False),
            net.conv(net.pool(x, 3, 1), pooled, 1, act="relu", norm=False),
        )
    return classify(net, x, classes)


def alexnet(classes: int = 1000) -> Net:
    """AlexNet with groups, 227 pixels."""
    net = Net(227, 227, 3)
    x = net.pool(net.conv(net.input, 96, 11, 4, "relu", norm=False, padding="valid"), 3, 2, padding="valid")
    x = net.pool(net.conv(x, 256, 5, act="relu", norm=False, groups=2), 3, 2, padding="valid")
    x = net.conv(x, 384, 3, act="relu", norm=False)
    x = net.conv(x, 384, 3, act="relu", norm=False, groups=2)
    x = net.pool(net.conv(x, 256, 3, act="relu", norm=False, groups=2), 3, 2, padding="valid")
    x = net.reshape(x, 9216)
    return net.output(net.softmax(net.dense(net.dense(net.dense(x, 4096, "relu"), 4096, "relu"), classes)))


def vgg16(classes: int = 1000) -> Net:
    """VGG-16."""
    net = Net(224, 224, 3)
    x = net.input
    for filters, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            x = net.conv(x, filters, 3, act="relu", norm=False)
        x = net.pool(x, 2, 2)
    x = net.reshape(x, 25088)
    return net.output(net.softmax(net.dense(net.dense(net.dense(x, 4096, "relu"), 4096, "relu"), classes)))


def regnety_400m(classes: int = 1000) -> Net:
    """RegNetY-400MF."""
    net = Net(224, 224, 3)
    x = net.conv(net.input, 32, 3, 2, "relu")
    for filters, repeats in ((48, 1), (104, 3), (208, 6), (440, 6)):
        for i in range(repeats):
            squeeze = x.channels // 4
            y = net.conv(x, filters, 1, act="relu")
            y = net.conv(y, filters, 3, 2 if i == 0 else 1, "relu", groups=filters // 8)
            y = net.conv(net.squeeze_excite(y, squeeze, gate="sigmoid"), filters, 1)
            x = net.add(net.conv(x, filters, 1, 2) if i == 0 else x, y, "relu")
    return classify(net, x, classes)


def blazeface() -> Net:
    """BlazeFace for front cameras, 128 pixels."""
    net = Net(128, 128, 3)
    x = net.conv(net.input, 24, 5, 2, "relu", norm=False)
    for filters in (24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88):
        x = _blaze(net, x, filters, 2 if filters in (32, 48) else 1)
    first = x
    for filters, stride in ((96, 2), (96, 1), (96, 1), (96, 1), (96, 1)):
        x = _blaze(net, x, filters, stride)
    for y, count in ((first, 2), (x, 6)):
        for width in (1, 16):
            net.output(net.conv(y, count * width, 1, norm=False))
    return net


def _blaze(net: Net, x: Value, filters: int, stride: int) -> Value:
    y = net.conv(net.depthwise(x, 3, stride, norm=False), filters, 1, norm=False)
    if stride == 2:
        x = net.pool(x, 2, 2)
    if x.channels != filters:
        x = net.conv(x, filters, 1, norm=False)
    return net.act(net.add(x, y), "relu")
