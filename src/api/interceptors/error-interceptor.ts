import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { type ErrorCode, invalidFields, type TellwireError } from "../../errors.ts";
import { isUnstorableText } from "../../usecases/database-failure.ts";
import { callerError } from "../caller-error.ts";
import { isClientGone } from "../client-gone.ts";
import { decodingMessage } from "../decoding-message.ts";
import { errorDetails } from "../messages/error-details.ts";
import { nulCharacterViolations } from "../nul-characters.ts";
import { peerOf } from "../peer-context.ts";
import type { Call } from "../request-gate.ts";

/** Hears of the errors that whoever runs the server has to look into. */
export type OnServerError = (failure: ServerFailure) => void;

export interface ServerFailure {
  /** What the caller was told. */
  requestId: string;
  /** `tellwire.v1.WebhookService/CreateWebhook`. */
  method: string;
  error: unknown;
}

/** Translates what a call failed with, errors of answers that are streams too. */
export function createErrorInterceptor(options: ErrorInterceptorOptions): Interceptor {
  const translate = createErrorTranslation(options);
  return (next) => async (request) => {
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: translated(response.message, (thrown) => translate(request, thrown)) };
    } catch (thrown) {
      throw translate(request, textRefusal(request, thrown) ?? thrown);
    }
  };
}

/**
 * The one place where errors become those of Connect and gRPC: the code, and as details (AIP-193) ErrorInfo with the reason, BadRequest with
 * each bad field, and RetryInfo.
 */
export function createErrorTranslation(options: ErrorInterceptorOptions): (call: Call, thrown: unknown) => unknown {
  const { newRequestId, onServerError } = options;
  return (call, thrown) => {
    if (isClientGone(thrown))
      return new ConnectError("the client went away", Code.Canceled, undefined, undefined, thrown);
    const requestId = peerOf(call).origin.requestId ?? newRequestId();
    const shown = callerError(thrown, requestId);
    if (shown === undefined) return withoutValues(thrown);
    const method = `${call.service.typeName}/${call.method.name}`;
    if (shown.log) onServerError({ requestId, method, error: thrown });
    return connectError(shown.error);
  };
}

/** An error of the protocol itself, which a message of a stream that cannot be read is. */
function withoutValues(thrown: unknown): unknown {
  if (!(thrown instanceof ConnectError)) return thrown;
  const message = decodingMessage(thrown.rawMessage);
  return message === thrown.rawMessage ? thrown : new ConnectError(message, thrown.code, thrown.metadata);
}

/** What the database says about a text, in terms of the request; undefined where it says nothing of the kind. */
function textRefusal(request: UnaryRequest | StreamRequest, thrown: unknown): TellwireError | undefined {
  if (request.stream || !isUnstorableText(thrown)) return undefined;
  const violations = nulCharacterViolations(request.method.input, request.message);
  return violations.length === 0 ? undefined : invalidFields(...violations);
}

export interface ErrorInterceptorOptions {
  /** For calls that came without an id. */
  newRequestId: () => string;
  onServerError: OnServerError;
}

/** The error as Connect writes it. */
function connectError(error: TellwireError): ConnectError {
  // RFC 9110, 15.5.2: a 401 says how to authenticate.
  const headers = error.code === "UNAUTHENTICATED" ? { "www-authenticate": 'Bearer realm="tellwire"' } : undefined;
  // A message that quotes the request may have cut a character in two, which gRPC cannot encode.
  return new ConnectError(error.message.toWellFormed(), codes[error.code], headers, errorDetails(error), error);
}

async function* translated<Item>(
  items: AsyncIterable<Item>,
  translate: (thrown: unknown) => unknown,
): AsyncGenerator<Item> {
  try {
    yield* items;
  } catch (thrown) {
    throw translate(thrown);
  }
}

const codes: Record<ErrorCode, Code> = {
  INVALID_ARGUMENT: Code.InvalidArgument,
  FAILED_PRECONDITION: Code.FailedPrecondition,
  NOT_FOUND: Code.NotFound,
  ALREADY_EXISTS: Code.AlreadyExists,
  ABORTED: Code.Aborted,
  UNAUTHENTICATED: Code.Unauthenticated,
  PERMISSION_DENIED: Code.PermissionDenied,
  RESOURCE_EXHAUSTED: Code.ResourceExhausted,
  UNAVAILABLE: Code.Unavailable,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  UNIMPLEMENTED: Code.Unimplemented,
  INTERNAL: Code.Internal,
};
