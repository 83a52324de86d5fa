# SPDX-License-Identifier: Apache-2.0
"""A certification authority and what it signs, valid or not."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def new_key(kind):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key({"ecdsa": ec.SECP256R1(), "ecdsa384": ec.SECP384R1()}[kind])


def name_of(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Shoji tests")])


class Certificate:
    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority(Certificate):
    def __init__(self, common_name="Shoji test authority", kind="ecdsa"):
        self.name = name_of(common_name)
        key = new_key(kind)
        super().__init__(self._sign(self.name, key.public_key(), key, True, -DAY, 30 * DAY), key)

    def _sign(self, subject, public_key, signer, is_authority, begins, ends, alternative=()):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                   .serial_number(x509.random_serial_number()).not_valid_before(now + begins).not_valid_after(now + ends)
                   .add_extension(x509.BasicConstraints(is_authority, None), True)
                   .add_extension(x509.KeyUsage(not is_authority, False, False, False, False, is_authority, is_authority, False, False), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False))
        if alternative:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in alternative]), False)
        if not is_authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        return builder.sign(signer, hashes.SHA256())

    def issue(self, host, kind="ecdsa", begins=-DAY, ends=20 * DAY):
        key = new_key(kind)
        return Certificate(self._sign(name_of(host), key.public_key(), self.key, False, begins, ends, (host,)), key)

    def crl(self, *revoked, begins=-DAY, ends=DAY):
        now = datetime.datetime.utcnow()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(now + begins).next_update(now + ends)
        for certificate in revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().revocation_date(now + begins)
                                                      .serial_number(certificate.certificate.serial_number).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
