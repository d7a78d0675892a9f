"""A certificate for a broker under test."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write_certificate(folder: Path, *, expired: bool = False) -> None:
    """A self-signed certificate for 127.0.0.1, which is its own authority: ``cert.pem`` and ``key.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("test broker")
    unsigned = _for_loopback(_builder(name, key, expired=expired)).issuer_name(name)
    unsigned = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    _write(folder / "cert.pem", folder / "key.pem", unsigned.sign(key, hashes.SHA256()), key)


def write_plain_authority(folder: Path) -> None:
    """What ``openssl req -x509`` makes: a CA without keyUsage (``ca.pem``), and a broker's certificate by it."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = _name("test authority")
    root = _builder(name, authority).issuer_name(name)
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    _write(folder / "ca.pem", folder / "ca.key", root.sign(authority, hashes.SHA256()), authority)
    broker = _for_loopback(_builder(_name("test broker"), key)).issuer_name(name)
    _write(folder / "cert.pem", folder / "key.pem", broker.sign(authority, hashes.SHA256()), key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, expired: bool = False) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(minutes=-1 if expired else 60))
    )


def _for_loopback(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    addresses = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    return builder.add_extension(addresses, critical=False)


def _write(cert: Path, private: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
