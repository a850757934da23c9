import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { Config } from "../../config.ts";
import { TellwireError } from "../../errors.ts";

/**
 * The way to the API that an import goes: at `url`, else at the public URL, else at the address on which a Tellwire of this configuration
 * listens. Throws CONFIG_INVALID where there is no key, or the URL is none.
 */
export function importTransport(config: Config, options: { url?: string; key?: string }): Transport {
  const key = options.key ?? config.operatorKeys[0];
  if (key === undefined) {
    throw new TellwireError(
      "CONFIG_INVALID",
      "an import needs the operator's key: set TELLWIRE_OPERATOR_KEY, or give --key",
    );
  }
  const baseUrl = options.url ?? config.publicUrl ?? localUrl(config);
  if (!/^https?:\/\//.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw new TellwireError("CONFIG_INVALID", `--url must be such as https://tellwire.example.com, and is ${baseUrl}`);
  }
  return createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${key}`);
        return next(request);
      },
    ],
  });
}

/** An address without a host, or of every interface, is reached on the loopback one. */
function localUrl({ httpAddress: { host = "", port }, tls }: Config): string {
  const isEvery = host === "" || host === "::" || host === "0.0.0.0";
  const name = isEvery ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `${tls === undefined ? "http" : "https"}://${name}:${port}`;
}
