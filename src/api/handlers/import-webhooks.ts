import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Validator } from "@bufbuild/protovalidate";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WebhookImport,
  WebhookImportOutcome,
  type WebhookImportResultSchema,
  WebhookImportSchema,
} from "../../../gen/tellwire/v1/webhook_import_pb.ts";
import type { ImportWebhooksRequest } from "../../../gen/tellwire/v1/webhook_service_pb.ts";
import { parseId, publicId } from "../../domain/ids.ts";
import { invalidFields } from "../../errors.ts";
import { type Principal, requireOperator } from "../../usecases/access.ts";
import { isUnstorableText } from "../../usecases/database-failure.ts";
import type { ImportOutcome, ImportWebhook } from "../../usecases/import-webhook.ts";
import { callerError } from "../caller-error.ts";
import { violationsError } from "../field-violations.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import type { OnServerError } from "../interceptors/error-interceptor.ts";
import { errorStatus } from "../messages/error-details.ts";
import { importedWebhook } from "../messages/webhook-import-message.ts";
import { nulCharacterViolations } from "../nul-characters.ts";

export interface ImportWebhooksOptions {
  validator: Validator;
  newRequestId: () => string;
  onServerError: OnServerError;
}

/**
 * ImportWebhooks: each webhook is checked and imported by itself, one after the other, so that the later of two with the same id counts. What
 * is wrong with one is its result; the call fails only where nothing more can be done, such as without the database.
 */
export function createImportWebhooks(importWebhook: ImportWebhook, options: ImportWebhooksOptions) {
  return async ({ imports, validateOnly }: ImportWebhooksRequest, context: HandlerContext) => {
    const principal = principalOf(context);
    requireOperator(principal, "importing webhooks");
    const results: Result[] = [];
    for (const given of imports) {
      results.push(await resultOf(given, { principal, importWebhook, validateOnly, options }));
    }
    return { results };
  };
}

type Result = MessageInitShape<typeof WebhookImportResultSchema>;

interface Importing {
  principal: Principal;
  importWebhook: ImportWebhook;
  validateOnly: boolean;
  options: ImportWebhooksOptions;
}

async function resultOf(given: WebhookImport, importing: Importing): Promise<Result> {
  const id = given.webhook?.id ?? "";
  const uuid = parseId("webhook", id);
  const webhookId = uuid === undefined ? id : publicId("webhook", uuid);
  try {
    return { webhookId, outcome: WebhookImportOutcome[await outcomeOf(given, importing)] };
  } catch (thrown) {
    const requestId = importing.options.newRequestId();
    const shown = callerError(refusedText(given, thrown) ?? thrown, requestId);
    if (shown === undefined || shown.error.code === "UNAVAILABLE") throw thrown;
    if (shown.log) {
      const method = "tellwire.v1.WebhookService/ImportWebhooks";
      importing.options.onServerError({ requestId, method, error: thrown });
    }
    return { webhookId, outcome: WebhookImportOutcome.REFUSED, error: errorStatus(shown.error) };
  }
}

async function outcomeOf(given: WebhookImport, importing: Importing): Promise<ImportOutcome> {
  const { principal, importWebhook, validateOnly, options } = importing;
  const checked = options.validator.validate(WebhookImportSchema, create(WebhookImportSchema, given));
  if (checked.kind === "error") throw checked.error;
  if (checked.kind === "invalid") throw violationsError(checked.violations);
  return await importWebhook(principal, importedWebhook(given), { validateOnly });
}

/** What the database says about a text, in terms of the import; undefined where it says nothing of the kind. */
function refusedText(given: WebhookImport, thrown: unknown): Error | undefined {
  if (!isUnstorableText(thrown)) return undefined;
  const violations = nulCharacterViolations(WebhookImportSchema, given);
  return violations.length === 0 ? undefined : invalidFields(...violations);
}
