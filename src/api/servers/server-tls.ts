import { X509Certificate } from "node:crypto";
import type { SecureServerOptions } from "node:http2";
import { createSecureContext } from "node:tls";
import { TellwireError } from "../../errors.ts";

/** A certificate with its chain, and its private key, as PEM texts. */
export interface TlsIdentity {
  cert: string;
  key: string;
}

/** What a port of TLS needs. */
export interface ServerTls extends TlsIdentity {
  /** Undefined: clients are not asked for certificates. */
  clients?: ClientAuthentication | undefined;
}

/** Who may be a client by certificate. */
export interface ClientAuthentication {
  /** The authorities that issue the clients' certificates, as PEM texts. */
  ca: string;
  /** Whether a connection without a certificate that these authorities vouch for is refused. */
  isRequired: boolean;
}

/**
 * The options of a TLS server. Where certificates are asked for but not required, a connection with a bad one is let in too: its calls may show
 * keys, and those that do not are told what is wrong with the certificate. Throws CONFIG_INVALID for what cannot be used.
 */
export function tlsServerOptions({ cert, key, clients }: ServerTls): SecureServerOptions {
  checkIdentity({ cert, key });
  if (clients === undefined) return { ...oldestProtocol, cert, key };
  checkAuthorities(clients.ca);
  return { ...oldestProtocol, cert, key, ca: clients.ca, requestCert: true, rejectUnauthorized: clients.isRequired };
}

/** RFC 9325, section 3.1.1. */
const oldestProtocol = { minVersion: "TLSv1.2" } as const;

function checkIdentity({ cert, key }: TlsIdentity): void {
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw new TellwireError(
      "CONFIG_INVALID",
      `TELLWIRE_TLS_CERT, TELLWIRE_TLS_KEY: cannot be used (${detailOf(cause)}); name a PEM file with the certificate and its chain, and a PEM file with the private key that belongs to it`,
      { cause },
    );
  }
}

/** TLS itself takes a text without certificates for a list of no authorities. */
function checkAuthorities(ca: string): void {
  try {
    const certificates = ca.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
    if (certificates.length === 0) throw new Error("there is no certificate in it");
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch (cause) {
    throw new TellwireError(
      "CONFIG_INVALID",
      `TELLWIRE_GRPC_CLIENT_CA: cannot be used (${detailOf(cause)}); name a PEM file with the certificates of the authorities that issue the clients' certificates`,
      { cause },
    );
  }
}

function detailOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
