"""The protocol and its version: topics, messages, manifest, envelope, chunks. Pure: no I/O, no clock, no broker."""
