"""Orders and models that people send from the page: what they would do, the threads that send them, and their log."""
