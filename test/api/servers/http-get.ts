import { type Agent, type IncomingHttpHeaders, type RequestOptions, request } from "node:http";

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** One request over HTTP/1.1 with nothing of a browser's or a fetch's about it; every header can be set. */
export function httpGet(url: string, options: RequestOptions & { agent?: Agent } = {}): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const outgoing = request(url, options, async (incoming) => {
    try {
      const chunks = await incoming.toArray();
      const body = Buffer.concat(chunks).toString();
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body });
    } catch (error) {
      reject(error);
    }
  });
  outgoing.once("error", reject);
  outgoing.end();
  return promise;
}
