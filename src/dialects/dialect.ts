import type { Scope } from "../domain/scope.ts";
import type { TellwireError } from "../errors.ts";
import type { Principal } from "../usecases/access.ts";

/** A foreign JSON API on the use cases: its routes, who its callers are, and how it says that something went wrong. */
export interface Dialect {
  /** `layer`, for the log. */
  name: string;
  /** Whether a path (without its query) is this dialect's, served or not: whatever is wrong with it is answered in its envelope. */
  claims(path: string): boolean;
  routes: readonly DialectRoute[];
  /** The key that a request carries, in the headers that this system reads. */
  keyOf(header: HeaderReader): string | undefined;
  /** Looks at a request before its route's handler, after authentication. A failure that it returns is the answer. */
  precondition?(request: DialectRequest): DialectFailure | undefined;
  /** The system's own answer to a failure. */
  describe(failure: DialectFailure, context: FailureContext): DialectAnswer;
}

export interface DialectRoute {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `/apps/{app}/webhooks/{webhook}`: literal segments and parameters of one segment each. */
  path: string;
  /** What a call of the route needs. */
  scope: Scope;
  /** What it needs besides, where its body asks for more than other bodies do. */
  scopeOfBody?: (body: unknown) => Scope | undefined;
  /** Whether a call makes this service call somebody's receiver, at once or soon: such calls have a limit of their own. */
  callsReceiver?: boolean;
  /**
   * Whether an Idempotency-Key counts: what the route answered first is answered again for 24 hours. A failure that the handler throws is not
   * kept.
   */
  idempotent?: boolean;
  handle(request: DialectRequest): Promise<DialectAnswer>;
}

export type HeaderReader = (name: string) => string | undefined;

export interface DialectRequest {
  principal: Principal;
  method: string;
  path: string;
  /** The parameters of the path, percent-decoded. */
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
  header: HeaderReader;
  /** The parsed JSON body; undefined where there was none. */
  body: unknown;
  /** `req_…`: the log has it too. */
  requestId: string;
}

export interface DialectAnswer {
  status: number;
  headers?: Readonly<Record<string, string>>;
  /** Written as JSON; undefined: no body. */
  body?: unknown;
}

/** Everything that keeps a request from being answered as it asks. */
export type DialectFailure =
  | { kind: "unauthenticated"; message: string }
  | { kind: "no route" }
  | { kind: "method not allowed"; allowed: readonly string[] }
  | { kind: "not acceptable"; accept: string }
  | { kind: "unsupported media type"; contentType: string }
  | { kind: "malformed JSON"; message: string }
  | { kind: "too large"; maxBytes: number }
  | { kind: "too slow"; timeoutMs: number }
  | { kind: "invalid"; violations: readonly InvalidField[] }
  | { kind: "refused"; error: TellwireError }
  | { kind: "internal" };

/** A field as the dialect's callers know it. */
export interface InvalidField {
  field: string;
  /** Not there at all, rather than wrong. */
  missing: boolean;
  message: string;
}

export interface FailureContext {
  requestId: string;
  method: string;
  path: string;
}

/** Thrown by a handler: the dialect describes it. */
export class DialectFailureError extends Error {
  override readonly name = "DialectFailureError";
  readonly failure: DialectFailure;

  constructor(failure: DialectFailure) {
    super(failure.kind);
    this.failure = failure;
  }
}

/** The failure of one bad field. */
export function invalidField(field: string, message: string): DialectFailureError {
  return new DialectFailureError({ kind: "invalid", violations: [{ field, missing: false, message }] });
}
