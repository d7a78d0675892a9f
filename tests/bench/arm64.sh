#!/bin/sh
# arm64.sh ROOT SCRATCH COMMAND...: run COMMAND in the arm64 Debian system at ROOT under user-mode emulation.
#
# This checkout is at /tree there, SCRATCH at /scratch. Everything is mounted in a namespace of its own, so nothing is
# left behind. Needs root, qemu-user-static and binfmt-support; how ROOT is made is in ARM64.md.
#
# The processor is a Cortex-A72, a Raspberry Pi 4's. /proc/cpuinfo must name that one too: onnxruntime reads it, and with
# an x86 processor's text it crashes. (qemu's "max" is no substitute: its emulated SME makes LiteRT's results wrong.)
# Workers are started without their parent's environment, so each Python puts the processor's name back for its children.
set -eu
root=$1 scratch=$2
shift 2
tree=$(cd "$(dirname "$0")/../.." && pwd)
export QEMU_CPU=cortex-a72
exec unshare --mount --propagation private sh -euc '
    root=$1 tree=$2 scratch=$3
    shift 3
    mkdir -p "$root/tree" "$root/scratch"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/tmp"
    mount --bind "$tree" "$root/tree"
    mount --bind "$scratch" "$root/scratch"
    core=0
    while [ "$core" -lt "$(nproc)" ]; do
        printf "processor\t: %s\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n" "$core"
        printf "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
        core=$((core + 1))
    done >"$root/tmp/cpuinfo"
    mount --bind "$root/tmp/cpuinfo" "$root/proc/cpuinfo"
    mkdir "$root/tmp/site"
    cat >"$root/tmp/site/sitecustomize.py" <<EOF
import os, subprocess
start = subprocess.Popen.__init__
def start_on_the_same_processor(self, *args, env=None, **more):
    start(self, *args, env=env and {**env, "QEMU_CPU": os.environ["QEMU_CPU"]}, **more)
subprocess.Popen.__init__ = start_on_the_same_processor
EOF
    cd "$root"
    exec chroot "$root" env -i PATH=/opt/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        QEMU_CPU="$QEMU_CPU" PYTHONPATH=/tree:/tmp/site PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 "$@"
' sh "$root" "$tree" "$scratch" "$@"
