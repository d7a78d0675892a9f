"""Transfer of blobs: chunks, their hashes, the partial file on disk."""
