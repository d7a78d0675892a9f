"""How blobs arrive: chunks, their hashes, the partial file on disk."""
