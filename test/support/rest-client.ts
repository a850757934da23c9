/** Calls the REST API as curl would: a method, a path, a JSON body. */
export type RestClient = <Answer = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
) => Promise<Answer>;

/** A client with a key. An answer other than 2xx is thrown with its body. */
export function createRestClient(baseUrl: string, key: string): RestClient {
  return async <Answer>(method: string, path: string, body?: unknown) => {
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${response.status} ${text}`);
    }
    return JSON.parse(text) as Answer;
  };
}
