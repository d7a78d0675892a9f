"""Files from a process that had a hostile model open: opened, read, copied and removed as if they were an attack."""
