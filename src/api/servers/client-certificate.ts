import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { ClientCertificate } from "../../usecases/authenticate.ts";

/** What is read of a connection. One without TLS has none of it. */
export type CertifiedConnection = Partial<
  Pick<TLSSocket, "authorized" | "authorizationError" | "getPeerX509Certificate">
>;

/** The certificate that a connection has shown; undefined where it has shown none, or was not asked for one. */
export function readClientCertificate(connection: CertifiedConnection): ClientCertificate | undefined {
  const known = certificates.get(connection);
  if (known !== undefined) return known.certificate;
  const shown = connection.getPeerX509Certificate?.();
  const certificate = shown === undefined ? undefined : describe(shown, connection);
  certificates.set(connection, { certificate });
  return certificate;
}

/** A connection shows one certificate for all its calls, so it is read once. */
const certificates = new WeakMap<CertifiedConnection, { certificate: ClientCertificate | undefined }>();

function describe(
  { subjectAltName, validToDate }: X509Certificate,
  { authorized, authorizationError }: CertifiedConnection,
): ClientCertificate {
  return {
    names: alternativeNames(subjectAltName ?? ""),
    problem: authorized === true ? undefined : String(authorizationError ?? "not verified"),
    expiresAtMs: validToDate.getTime(),
  };
}

/**
 * The DNS and URI names among the alternative names as Node writes them: `DNS:a, URI:spiffe://b/c`. A name with characters that could be taken for the end
 * of it stands in quotation marks there; no name that can be listed has such characters, so those are left out. So is a name of one kind that reads
 * like one of the other: what an authority checks of the one it may not check of the other. A text that is not wholly understood yields no name
 * at all.
 */
export function alternativeNames(text: string): string[] {
  const names: string[] = [];
  let at = 0;
  while (at < text.length) {
    entry.lastIndex = at;
    const match = entry.exec(text);
    if (match === null) return [];
    const [whole, kind, plain] = match;
    const isUri = plain?.includes("://");
    if (plain !== undefined && kind === "DNS" && !isUri) names.push(plain.toLowerCase());
    if (plain !== undefined && kind === "URI" && isUri) names.push(plain);
    at += whole.length;
  }
  return names;
}

/** One name with what separates it from the next: its kind, and a quoted value or a plain one. */
const entry = /([A-Za-z][A-Za-z0-9 .]*):(?:"(?:[^"\\]|\\.)*"|([^,"]*))(?:, |$)/y;
