"""TLS for the tests: an authority with its certificates, and a proxy that speaks TLS for a server that has none.

The bundled valkey-server is built without TLS. A proxy in front of it is what stunnel would be.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates; `file` is what a client trusts."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        built = _builder(self._name, self._name, self._key)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        self._certificate = built.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *hosts: str) -> Certificate:
        """A certificate for these names and addresses; without any it is a client's."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(_name(name), self._name, key)
        if hosts:
            built = built.add_extension(x509.SubjectAlternativeName(list(map(_host, hosts))), critical=False)
        issued = built.sign(self._key, hashes.SHA256())
        files = Certificate(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        files.certificate.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return files

    def server_context(self, certificate: Certificate, *, ask_clients: bool = False) -> ssl.SSLContext:
        """What a server with this certificate needs; `ask_clients`: only who has one of this authority may come."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        if ask_clients:
            context.load_verify_locations(self.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class TlsProxy:
    """Takes TLS on a loopback port and hands it on to another in plain; one thread.

    Args:
        target: the server's port.
        context: certificate and rules.
        plain_too: hand on what comes in plain as well. A Sentinel tells its clients the address by which it knows the master
            itself, and it speaks no TLS.
        port: the port to listen on; 0: any.
    """

    def __init__(
        self, target: int, context: ssl.SSLContext, *, plain_too: bool = False, port: int = 0
    ) -> None:
        self._target = target
        self._context = context
        self._plain_too = plain_too
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.refused: list[str] = []
        """Why handshakes failed."""
        self.secure = 0
        """How many connections have spoken TLS."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"tls-{self.port}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection; nothing of it is left."""
        self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._listener.close()

    def _run(self) -> None:
        self._main = self._loop.create_task(self._accept())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._main)
        self._loop.close()

    async def _accept(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                client, _ = await self._loop.sock_accept(self._listener)
                group.create_task(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        writers: list[asyncio.StreamWriter] = []
        try:
            secure = not self._plain_too or await self._begins_with_tls(client)
            reader = asyncio.StreamReader(limit=1 << 20)
            protocol = asyncio.StreamReaderProtocol(reader)
            try:
                transport, _ = await self._loop.connect_accepted_socket(
                    lambda: protocol, client, ssl=self._context if secure else None
                )
            except OSError as error:
                self.refused.append(str(error))
                return
            self.secure += secure
            writers.append(asyncio.StreamWriter(transport, protocol, reader, self._loop))
            server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(to_server)
            ways = [
                asyncio.create_task(_pump(reader, to_server)),
                asyncio.create_task(_pump(server, writers[0])),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass
        finally:
            for writer in writers:
                writer.transport.abort()
            client.close()
            await asyncio.sleep(0)  # the transports close their sockets

    async def _begins_with_tls(self, client: socket.socket) -> bool:
        client.setblocking(False)
        readable = self._loop.create_future()
        self._loop.add_reader(client, lambda: readable.done() or readable.set_result(None))
        try:
            await readable
        finally:
            self._loop.remove_reader(client)
        return client.recv(1, socket.MSG_PEEK) == b"\x16"


@contextlib.contextmanager
def tls_in_front(
    ports: Sequence[int], context: ssl.SSLContext, *, plain_too: bool = False
) -> Iterator[list[TlsProxy]]:
    """A proxy for each of these ports; they end with the block."""
    with contextlib.ExitStack() as stack:
        proxies = []
        for port in ports:
            proxies.append(TlsProxy(port, context, plain_too=plain_too))
            stack.callback(proxies[-1].stop)
        yield proxies


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _builder(name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )
