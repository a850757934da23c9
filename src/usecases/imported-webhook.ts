import type { WebhookStatus } from "../domain/webhook.ts";
import { type FieldViolation, invalidFields, TellwireError } from "../errors.ts";
import type { TargetPolicy } from "../outbound/target-url.ts";
import type { WebhookHealth } from "../store/entities/webhook-health.ts";
import type { Principal } from "./access.ts";
import { checkSigningSecret, type WantedSigningSecret } from "./signing-secret-fields.ts";
import { checkVerificationMethod, checkWebhookFields, type WebhookFields } from "./webhook-fields.ts";

/** A webhook as another system knew it. */
export interface ImportedWebhook extends WebhookFields, WantedSigningSecret {
  /** UUIDs. */
  id: string;
  organizationId: string;
  /** Those that were replaced and still sign for a while. */
  previousSecrets: readonly { signingSecret: string; expiresAt: Date }[];
  status: WebhookStatus;
  statusReason: string;
  verifiedAt: Date | null;
  /** null: as it is here already, or now. */
  createdAt: Date | null;
  updatedAt: Date | null;
  /** null: nothing is known of its deliveries. */
  health: ImportedHealth | null;
}

export type ImportedHealth = Omit<WebhookHealth, "webhookId" | "exhaustedSince">;

/** Throws INVALID_FIELDS naming every bad field of an import, with the paths of the contract; OPERATOR_REQUIRED. */
export function checkImportedWebhook(principal: Principal, imported: ImportedWebhook, policy: TargetPolicy): void {
  const { format, previousSecrets, status, verificationMethod: method } = imported;
  const violations = [
    () => checkWebhookFields(principal, imported, policy),
    () => checkVerificationMethod(imported),
    () => checkSigningSecret(format, imported, "webhook."),
    ...previousSecrets.map(
      ({ signingSecret }, index) =>
        () =>
          checkSigningSecret(format, { signingSecret }, `previous_secrets[${index}].`),
    ),
  ].flatMap(violationsOf);
  if (previousSecrets.length > maxPrevious) {
    violations.push({ field: "previous_secrets", description: `must be at most ${maxPrevious}` });
  }
  if (status === "UNVERIFIED" && (method === "NONE" || method === "VOUCHED")) {
    const description = `must not be UNVERIFIED where the verification method is ${method}, which asks for no proof`;
    violations.push({ field: "webhook.status", description });
  }
  if (violations.length > 0) throw invalidFields(...violations);
}

/** As many as a rotation keeps. */
const maxPrevious = 3;

function violationsOf(check: () => void): readonly FieldViolation[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof TellwireError && error.reason === "INVALID_FIELDS") return error.fieldViolations;
    throw error;
  }
}
