import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { type ContextValues, createContextKey } from "@connectrpc/connect";
import type { ClientCertificate } from "../../usecases/authenticate.ts";
import type { NodeRequest } from "./node-server.ts";

/** The certificate that a request's connection has shown; undefined where it has shown none, or was not asked for one. */
export function readClientCertificate(request: NodeRequest): ClientCertificate | undefined {
  const socket = tlsSocketOf(request);
  if (socket === undefined) return undefined;
  const known = certificates.get(socket);
  if (known !== undefined) return known.certificate;
  const shown = socket.getPeerX509Certificate();
  const certificate = shown === undefined ? undefined : describe(shown, socket);
  certificates.set(socket, { certificate });
  return certificate;
}

/** The certificate of a call's connection, as whoever serves the port has put it there. */
export function clientCertificateOf(values: ContextValues): ClientCertificate | undefined {
  return values.get(clientCertificateKey);
}

/** Puts it there. */
export function setClientCertificate(values: ContextValues, certificate: ClientCertificate | undefined): void {
  values.set(clientCertificateKey, certificate);
}

const clientCertificateKey = createContextKey<ClientCertificate | undefined>(undefined, {
  description: "client certificate",
});

/** A connection shows one certificate for all its calls, so it is read once. */
const certificates = new WeakMap<object, { certificate: ClientCertificate | undefined }>();

function tlsSocketOf(request: NodeRequest): TLSSocket | undefined {
  const socket = "stream" in request ? request.stream.session?.socket : request.socket;
  return socket !== undefined && "getPeerX509Certificate" in socket ? (socket as TLSSocket) : undefined;
}

function describe({ subjectAltName, validToDate }: X509Certificate, socket: TLSSocket): ClientCertificate {
  return {
    names: alternativeNames(subjectAltName ?? ""),
    problem: socket.authorized ? undefined : String(socket.authorizationError ?? "not verified"),
    expiresAtMs: validToDate.getTime(),
  };
}

/**
 * The DNS and URI names among the alternative names as Node writes them: `DNS:a, URI:spiffe://b/c`. A name with characters that could be taken for the end
 * of it stands in quotation marks there; no name that can be listed has such characters, so those are left out. A text that is not wholly
 * understood yields no name at all.
 */
export function alternativeNames(text: string): string[] {
  const names: string[] = [];
  let at = 0;
  while (at < text.length) {
    entry.lastIndex = at;
    const match = entry.exec(text);
    if (match === null) return [];
    const [whole, kind, plain] = match;
    if (plain !== undefined && kind === "DNS") names.push(plain.toLowerCase());
    if (plain !== undefined && kind === "URI") names.push(plain);
    at += whole.length;
  }
  return names;
}

/** One name with what separates it from the next: its kind, and a plain value or a quoted one. */
const entry = /([A-Za-z][A-Za-z0-9 .]*):(?:"(?:[^"\\]|\\.)*"|([^,"]*))(?:, |$)/y;
