import type { FieldMask } from "@bufbuild/protobuf/wkt";
import type { Webhook } from "../../../gen/tellwire/v1/webhook_pb.ts";
import { invalidFields } from "../../errors.ts";
import type { WebhookFields } from "../../usecases/webhook-fields.ts";
import { webhookFieldsOf } from "./webhook-message.ts";

/**
 * The fields that an update changes, in proto names: those of the mask, or else every one that is set (AIP-134). Throws INVALID_FIELDS for a
 * mask that names anything else than what can be changed.
 */
export function changedPaths(webhook: Webhook, mask: FieldMask | undefined): ReadonlySet<string> {
  if (mask !== undefined && mask.paths.length > 0) {
    const unknown = mask.paths.filter((path) => !(path in fieldOf));
    if (unknown.length > 0) {
      throw invalidFields({
        field: "update_mask",
        description: `${unknown.join(", ")}: only these can be changed: ${changeablePaths.join(", ")}${secretHint(unknown)}`,
      });
    }
    return new Set(mask.paths);
  }
  if (webhook.signingSecret !== "") {
    throw invalidFields({
      field: "webhook.signing_secret",
      description: "cannot be changed by an update: use RotateWebhookSecret, which keeps the old one valid for a while",
    });
  }
  return new Set(changeablePaths.filter((path) => isSet[path](webhook)));
}

/** The new values of the named fields; a named field that is not set in the message goes back to its default. */
export function webhookPatch(webhook: Webhook, paths: ReadonlySet<string>): Partial<WebhookFields> {
  const fields = webhookFieldsOf(webhook);
  const patch: Partial<Record<keyof WebhookFields, unknown>> = {};
  for (const path of changeablePaths) {
    if (paths.has(path)) patch[fieldOf[path]] = fields[fieldOf[path]];
  }
  return patch as Partial<WebhookFields>;
}

const fieldOf = {
  project_ids: "projectIds",
  name: "name",
  description: "description",
  url: "url",
  event_types: "eventTypes",
  format: "format",
  headers: "headers",
  retry_policy: "retry",
  verification: "verificationMethod",
  config: "config",
  disable_after_exhausted: "disableAfterExhausted",
  rate_limit: "rateLimit",
  ordering: "ordering",
} as const satisfies Record<string, keyof WebhookFields>;

type ChangeablePath = keyof typeof fieldOf;

const changeablePaths = Object.keys(fieldOf) as ChangeablePath[];

const isSet: Record<ChangeablePath, (webhook: Webhook) => boolean> = {
  project_ids: ({ projectIds }) => projectIds.length > 0,
  name: ({ name }) => name !== "",
  description: ({ description }) => description !== "",
  url: ({ url }) => url !== "",
  event_types: ({ eventTypes }) => eventTypes.length > 0,
  format: ({ format }) => format !== 0,
  headers: ({ headers }) => Object.keys(headers).length > 0,
  retry_policy: ({ retryPolicy }) => retryPolicy !== undefined,
  verification: ({ verification }) => verification !== undefined,
  config: ({ config }) => config !== undefined,
  disable_after_exhausted: ({ disableAfterExhausted }) => disableAfterExhausted !== 0,
  rate_limit: ({ rateLimit }) => rateLimit !== undefined,
  ordering: ({ ordering }) => ordering !== 0,
};

function secretHint(unknown: readonly string[]): string {
  const isAboutSecret = unknown.includes("signing_secret") || unknown.includes("signing_algorithm");
  return isAboutSecret ? "; the secret is replaced by RotateWebhookSecret" : "";
}
