import type { Interceptor } from "@connectrpc/connect";
import { TellwireError } from "../../errors.ts";
import type { Actor } from "../../usecases/access.ts";
import { peerOf } from "../peer-context.ts";
import type { Call } from "../request-gate.ts";
import { findPrincipal } from "./auth-interceptor.ts";

/** A call that was denied: for want of a key, of a scope or of a role, or because it named another organization. */
export interface Denial {
  requestId: string | undefined;
  /** `tellwire.v1.WebhookService/CreateWebhook`. */
  method: string;
  reason: string;
  /** Undefined: nobody knows. Never the key itself. */
  actor: Actor | undefined;
  address: string | undefined;
}

/** Reports each call that is denied. Inside the translation of errors, and outside of authentication, so that it sees what both know. */
export function createDenialLogInterceptor(options: DenialLogOptions): Interceptor {
  const logDenial = createDenialLog(options);
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      logDenial(request, error);
      throw error;
    }
  };
}

/** Reports a call where it failed because it was denied. */
export function createDenialLog({ onDenied }: DenialLogOptions): (call: Call, error: unknown) => void {
  return (call, error) => {
    if (!isDenial(error)) return;
    const { requestId, address } = peerOf(call).origin;
    const method = `${call.service.typeName}/${call.method.name}`;
    onDenied({ requestId, method, reason: error.reason, actor: findPrincipal(call)?.actor, address });
  };
}

export interface DenialLogOptions {
  onDenied: (denial: Denial) => void;
}

/** An organization that the caller may not see is one that is not there. */
function isDenial(error: unknown): error is TellwireError {
  if (!(error instanceof TellwireError)) return false;
  return (
    error.code === "UNAUTHENTICATED" || error.code === "PERMISSION_DENIED" || error.reason === "ORGANIZATION_NOT_FOUND"
  );
}
