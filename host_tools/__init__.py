"""Tools for the host: push-model and its sisters."""
