"""Why brokers that are there do not talk to a client: the client itself only says that it cannot bootstrap.

Nothing secret is sent while looking, and nothing secret is said.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

_TIMEOUT_S: Final = 5.0
_ALERT_S: Final = 0.5  # a broker that wants a certificate says so after the handshake (TLS 1.3)
_TLS: Final = frozenset({"SSL", "SASL_SSL"})


def why_refused(address: str, client: Mapping[str, Any]) -> str:
    """One clause that names the settings which are to be looked at; "" where nothing is found.

    address: HOST:PORT of a broker that takes connections. client: its settings, as Kafka's client takes them.
    """
    protocol = client.get("security_protocol", "PLAINTEXT")
    if protocol not in _TLS:
        if _shakes_hands(address, _unverified()) is None:
            return f"security_protocol is {protocol}, and the broker speaks TLS: expected SSL or SASL_SSL"
    else:
        try:
            context = _context(client)
        except (OSError, ssl.SSLError, ValueError) as unusable:
            return f"ssl_cafile, ssl_certfile, ssl_keyfile or ssl_password cannot be used: {_said(unusable)}"
        error = _shakes_hands(address, context)
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the broker's certificate is not one of ssl_cafile, or not of this host: {error.verify_message}"
        if error is not None and "WRONG_VERSION_NUMBER" in str(error):
            return f"security_protocol is {protocol}, and the broker speaks no TLS there"
        if error is not None and "CERTIFICATE" in str(error):
            return f"the broker wants another certificate, or any: ssl_certfile, ssl_keyfile ({_said(error)})"
        if error is not None:
            return f"no TLS with the broker: {_said(error)}"
    if protocol.startswith("SASL_"):
        return (
            "the broker does not know the user, or not this way: "
            "sasl_mechanism, sasl_plain_username, sasl_plain_password"
        )
    return ""


def _context(client: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=client.get("ssl_cafile"))
    context.check_hostname = client.get("ssl_check_hostname", True)
    if client.get("ssl_certfile"):
        # A key that is locked must not make OpenSSL ask on the terminal.
        password = client.get("ssl_password") or ""
        context.load_cert_chain(client["ssl_certfile"], client.get("ssl_keyfile"), password)
    return context


def _unverified() -> ssl.SSLContext:
    """Only to see whether somebody speaks TLS: nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shakes_hands(address: str, context: ssl.SSLContext) -> Exception | None:
    """Shake hands and wait a moment for an objection; the error, None without one."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with (
            socket.create_connection((host, int(port)), _TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.settimeout(_ALERT_S)
            with contextlib.suppress(TimeoutError):
                secure.recv(1)
    except (OSError, ValueError) as error:
        return error
    return None


def _said(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
