import type { AddressInfo } from "node:net";
import { TellwireError } from "../../errors.ts";
import type { NodeServer } from "./node-server.ts";

/** Where a server listens. Port 0: any free port. */
export interface ListenAddress {
  host: string;
  port: number;
}

/**
 * Lets the server listen, and answers with the host and the port that it really has, as a URL has them (`127.0.0.1:8080`, `[::1]:8080`).
 * Throws CONFIG_INVALID, with the variable that holds the address and what to do, where the address cannot be had.
 */
export async function listen(server: NodeServer, { host, port }: ListenAddress, variable: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port }, resolve);
  try {
    await promise;
  } catch (cause) {
    throw listenError(cause, authority(host, port), variable);
  } finally {
    server.off("error", reject);
  }
  // A server that listens on a host and port has an address of this form.
  return authority(host, (server.address() as AddressInfo).port);
}

function authority(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function listenError(cause: unknown, address: string, variable: string): TellwireError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  return new TellwireError("CONFIG_INVALID", `${variable}: ${explain(code, address, variable)}`, {
    cause,
    metadata: { variable, address },
  });
}

function explain(code: string, address: string, variable: string): string {
  switch (code) {
    case "EADDRINUSE":
      return `${address} is in use by another process; stop that one, or set ${variable} to a free address`;
    case "EACCES":
      return `this process may not listen on ${address}; ports below 1024 need a privilege, so set ${variable} to a higher port`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `${address} is no address of this machine; set ${variable} to one of its own, such as 127.0.0.1, or to 0.0.0.0 for all of them`;
    default:
      return `cannot listen on ${address} (${code}); set ${variable} to another address`;
  }
}
