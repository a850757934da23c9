import { type ContextValues, createContextKey } from "@connectrpc/connect";

/** Lets interceptors set headers of the HTTP answer, whatever becomes of the call: gRPC would write those of an error as trailers. */
export function withAnswerHeaders(values: ContextValues, response: HeaderResponse): ContextValues {
  return values.set(setHeaderKey, (name, value) => {
    if (!response.headersSent) response.setHeader(name, value);
  });
}

/** What is used of a response. */
export interface HeaderResponse {
  readonly headersSent: boolean;
  setHeader(name: string, value: string): unknown;
}

/** Sets headers of the HTTP answer to a call. Nothing happens where there is none, as within a process. */
export function setAnswerHeaders(
  { contextValues }: { contextValues: ContextValues },
  headers: Readonly<Record<string, string>>,
): void {
  for (const [name, value] of Object.entries(headers)) contextValues.get(setHeaderKey)(name, value);
}

const setHeaderKey = createContextKey<(name: string, value: string) => void>(() => {}, { description: "set header" });
