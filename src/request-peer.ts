import { isIP, type Socket } from "node:net";
import { type CertifiedConnection, readClientCertificate } from "./api/servers/client-certificate.ts";
import type { NodeRequest } from "./api/servers/node-server.ts";
import { parseAddress, parseRange, type Range, rangeHolds } from "./outbound/address-class.ts";
import type { Peer } from "./usecases/authenticate.ts";

export interface RequestPeerOptions {
  /** Addresses and ranges of proxies whose X-Forwarded-For is believed. Each must be one that `parseRange` reads. */
  trustedProxies: readonly string[];
  newRequestId: () => string;
}

/**
 * Reads who is on the other side of a request: the address, the user agent, the client's certificate, and a new id for the request.
 * Behind trusted proxies the address is the right-most one of X-Forwarded-For that is no trusted proxy's: what stands to the left of it is
 * whatever the client wrote.
 */
export function createRequestPeer({
  trustedProxies,
  newRequestId,
}: RequestPeerOptions): (request: NodeRequest) => Peer {
  const trusted = trustedProxies.flatMap((text) => parseRange(text) ?? []);
  return (request) => {
    const socket = socketOf(request);
    return {
      origin: {
        address: clientAddress(socket?.remoteAddress, request.headers["x-forwarded-for"], trusted),
        userAgent: cleanUserAgent(request.headers["user-agent"]),
        requestId: newRequestId(),
      },
      clientCertificate: socket && readClientCertificate(socket),
    };
  };
}

/** What is read of a connection. */
type Connection = Pick<Socket, "remoteAddress"> & CertifiedConnection;

/** The connection; undefined where it is gone already, where HTTP/2 would throw. */
function socketOf(request: NodeRequest): Connection | undefined {
  if (!("stream" in request)) return request.socket;
  const { session } = request.stream;
  return session === undefined || session.destroyed ? undefined : session.socket;
}

function clientAddress(
  remote: string | undefined,
  forwardedFor: string | string[] | undefined,
  trusted: readonly Range[],
): string | undefined {
  let address = canonicalAddress(remote ?? "");
  const hops = [forwardedFor ?? []].flat().join(",").split(",");
  while (address !== undefined && hops.length > 0 && isTrusted(address, trusted)) {
    const next = canonicalAddress(withoutPort(hops.pop()?.trim() ?? ""));
    // What the proxy calls by no address is not known further than to the proxy.
    if (next === undefined) break;
    address = next;
  }
  return address;
}

function isTrusted(address: string, trusted: readonly Range[]): boolean {
  const bytes = parseAddress(address)?.bytes;
  return bytes !== undefined && trusted.some((range) => rangeHolds(range, bytes));
}

/** IPv4 addresses that a socket for both families shows as ::ffff:… are written as IPv4. Undefined for a text that is no address. */
function canonicalAddress(text: string): string | undefined {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text;
  return isIP(mapped) === 0 ? undefined : mapped;
}

/** Some proxies write `192.0.2.1:4711` or `[2001:db8::1]:4711`. */
function withoutPort(text: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text;
}

function cleanUserAgent(text: string | undefined): string | undefined {
  const clean = text?.replace(controlCharacters, "").slice(0, maxUserAgentLength);
  return clean === "" ? undefined : clean;
}

const controlCharacters = /\p{Cc}/gu;
const maxUserAgentLength = 256;
