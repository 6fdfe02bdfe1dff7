"""The fork server of `chaos.victim`, with a trainer among its roles."""

from __future__ import annotations

from chaos.victim import serve

if __name__ == "__main__":
    serve()
