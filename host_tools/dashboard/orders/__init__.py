"""Orders and models that people send from the page: their preview, the threads that send them, and their log."""
