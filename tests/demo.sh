#!/bin/sh
# The main job from end to end, in a simulated machine. Run by `make demo`.
set -e
exec iaactl sim run -- sh -ec '
say() { printf "\n\033[1m\$ %s\033[0m\n" "$*"; "$@"; }
say iaactl list
say iaactl plan qemu-migration
say iaactl apply qemu-migration --yes
say iaactl verify qemu-migration
say iaactl doctor
say iaactl --quiet migrate-bench --method qpl --backend iaa --size 4MiB --socket 0
say iaactl restore --yes
printf "\nAnd once more, to compare with what the unmodified accel-config sees:\n"
say iaactl --quiet apply qemu-migration --yes
say accel-config list
say iaactl list --wqs
say iaactl list
'
