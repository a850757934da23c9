/**
 * Adds to a dialect's OpenAPI document the headers of its answers: the handler of all dialects sets those of the limits on every answer
 * once it knows who calls.
 */
export function withHeaders(document: Record<string, unknown>, headers: DocumentHeaders): Record<string, unknown> {
  const described = structuredClone(document) as unknown as DocumentWithAnswers;
  const operations = Object.values(described.paths).flatMap((item) => Object.values(item));
  for (const { responses = {} } of operations) {
    for (const [status, answer] of Object.entries(responses)) answer.headers = headers.of(Number(status));
  }
  described.components.headers = headers.components;
  return described as unknown as Record<string, unknown>;
}

/** What a document says of headers. */
export interface DocumentHeaders {
  /** The components that `of` refers to. */
  readonly components: object;
  /** The headers of an answer with that status. */
  of(status: number): object;
}

interface DocumentWithAnswers {
  components: Record<string, unknown>;
  paths: Record<string, Record<string, { responses?: Record<string, { headers?: object }> }>>;
}
