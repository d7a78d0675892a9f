"""Writes the dashboards beside itself: ``python -m host_tools.dashboards.grafana``."""

from pathlib import Path

from host_tools.dashboards.grafana.documents import documents


def main() -> None:
    """Write each file whose content has changed."""
    for name, text in documents().items():
        path = Path(__file__).with_name(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
