"""Python face of the native page engine: QEMU's multifd channels without QEMU."""
