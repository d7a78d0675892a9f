"""What a process wrote that had a hostile model open: opened, read, copied and removed as if it had been an attack."""
