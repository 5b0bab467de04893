#!/bin/sh
# Builds the engine of model.onnx, on the device that is to run it: engines fit one GPU and one version of TensorRT.
#
#   sh build.sh             types as in model.onnx; writes model.engine
#   sh build.sh --fp16      further flags for trtexec, here: TensorRT may compute in float16 (before TensorRT 11)
set -eu
cd "$(dirname "$0")"
trtexec=$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)
if ! [ -x "$trtexec" ]; then
    echo "build.sh: trtexec is missing; it comes with TensorRT: sudo apt-get install tensorrt (JetPack)" >&2
    exit 4
fi
known() { "$trtexec" --help 2>&1 | grep -q -e "$1"; }

# TensorRT 11 always takes the file's types; 10 does where it is told to; before that it must be allowed to use them.
if [ $# -eq 0 ] && known --stronglyTyped; then
    set -- --stronglyTyped
else
    precision=$(sed -n 's/.*"precision": "\([a-z0-9]*\)".*/\1/p' shapes.json)
    case $precision in
    int8) if known --int8; then set -- --int8 "$@"; fi ;;
    float16) if known --fp16; then set -- --fp16 "$@"; fi ;;
    esac
fi
echo "build.sh: $trtexec --onnx=model.onnx --saveEngine=model.engine $*"
exec "$trtexec" --onnx=model.onnx --saveEngine=model.engine "$@"
