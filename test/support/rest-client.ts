/** Calls the REST API as curl would: a method, a path, a JSON body. */
export type RestClient = <Answer = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
) => Promise<Answer>;

/**
 * A client with a key. An answer other than 2xx is thrown with its body. Each call has a connection of its own: one that is kept may be closed by
 * the server at the moment of the next call.
 */
export function createRestClient(baseUrl: string, key: string): RestClient {
  return async <Answer>(method: string, path: string, body?: unknown) => {
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", connection: "close" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${response.status} ${text}`);
    }
    return JSON.parse(text) as Answer;
  };
}
