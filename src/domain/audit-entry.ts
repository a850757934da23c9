import { isDeepStrictEqual } from "node:util";
import { auditEntryIdOf, publicId } from "./ids.ts";
import type { DisabledWebhook } from "./operational-event.ts";

/** One change, as the audit log keeps it. Written once, with the change itself, and never changed. */
export interface AuditEntry {
  /** It begins with the time of the change in milliseconds, so ids are in the order of time. */
  id: string;
  /** Null: the change is about no organization. */
  organizationId: string | null;
  actor: { kind: string; id: string };
  /** Null: not known, as for changes that Tellwire makes itself. */
  origin: { address: string | null; userAgent: string | null; requestId: string | null };
  action: AuditAction;
  /** The id is a UUID; null where the resource has none. */
  resource: { type: AuditResourceType; id: string | null };
  /** The members of `before` and `after` that differ, where there are both. A header stands by its name: `headers.x-shop`. */
  changedFields: string[];
  /** Of a change, the members that differ; of a deletion, everything; null where there was nothing. */
  before: AuditState | null;
  after: AuditState | null;
}

/** What was done. Publishing is not among them: the event itself is its record. */
export type AuditAction =
  | "organization.create"
  | "organization.update"
  | "api_key.create"
  | "api_key.revoke"
  | "portal_token.create"
  | "webhook.create"
  | "webhook.update"
  | "webhook.delete"
  | "webhook.import"
  | "webhook.rotate_secret"
  | "webhook.read_secret"
  | "webhook.test"
  | "webhook.send"
  | "webhook.verify"
  | "webhook.pause"
  | "webhook.resume"
  | "webhook.activate"
  | "webhook.disable"
  | "delivery.retry"
  | "delivery.cancel"
  | "delivery.replay"
  | "recovery.start"
  | "recovery.cancel"
  | "secrets.reencrypt";

/** What it was done to. */
export type AuditResourceType =
  | "organization"
  | "api_key"
  | "portal_token"
  | "webhook"
  | "delivery"
  | "recovery"
  | "secrets";

/** A resource as the log shows it: names as in the JSON of the API, values that JSON can say, and never a secret, a key or a payload. */
export type AuditState = Readonly<Record<string, unknown>>;

/**
 * What an entry keeps of a resource before and after a change: the members that differ, and of headers and of the parameters of a URL the names
 * without their values.
 */
export function auditedDifference(
  before: AuditState | null,
  after: AuditState | null,
): Pick<AuditEntry, "before" | "after" | "changedFields"> {
  if (before === null || after === null) {
    return { before: before && withoutValues(before), after: after && withoutValues(after), changedFields: [] };
  }
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) => !isDeepStrictEqual(before[name], after[name]),
  );
  return {
    before: withoutValues(pick(before, names)),
    after: withoutValues(pick(after, names)),
    // Headers are compared with their values, which are not shown: their names are all that tells what changed.
    changedFields: names.flatMap((name) => (name === headersName ? changedHeaders(before[name], after[name]) : [name])),
  };
}

/** The entry of a webhook that Tellwire disabled. `actorId` names the part that did. Writing the same one twice makes one entry. */
export function webhookDisabledEntry(disabled: DisabledWebhook, actorId: string): AuditEntry {
  const { webhookId, organizationId, reason, version, at } = disabled;
  return {
    id: auditEntryIdOf(`webhook.disable\n${webhookId}\n${version}`, at),
    organizationId,
    actor: { kind: "SYSTEM", id: actorId },
    origin: { address: null, userAgent: null, requestId: null },
    action: "webhook.disable",
    resource: { type: "webhook", id: webhookId },
    ...auditedDifference({ status: "ACTIVE", statusReason: "" }, { status: "DISABLED", statusReason: reason }),
  };
}

/** The public form of an entry's resource: `wh_…`. Empty where it has no id. */
export function auditedResourceId({ type, id }: AuditEntry["resource"]): string {
  if (id === null) return "";
  const kind = idKinds[type];
  return kind === undefined ? id : publicId(kind, id);
}

const idKinds = {
  organization: "organization",
  api_key: "apiKey",
  portal_token: "portalToken",
  webhook: "webhook",
  delivery: "delivery",
  recovery: "recovery",
  secrets: undefined,
} as const satisfies Record<AuditResourceType, string | undefined>;

const headersName = "headers";

/** What stands in the place of a value that may be a secret. */
const hidden = "***";

function withoutValues(state: AuditState): AuditState {
  const { [headersName]: headers, url } = state;
  return {
    ...state,
    ...(headers === undefined ? {} : { [headersName]: hiddenValues(membersOf(headers)) }),
    ...(typeof url === "string" ? { url: urlWithoutValues(url) } : {}),
  };
}

/**
 * Many receivers know their callers by a parameter of the URL. What has no name, or nothing behind its name, may be such a token itself: base64 ends in `=`.
 */
function urlWithoutValues(url: string): string {
  const start = url.indexOf("?") + 1;
  if (start === 0) return url;
  const parameters = url.slice(start).split("&");
  return (
    url.slice(0, start) + parameters.map((each) => (/^[\w.~[\]-]+=(?=[^=])/.exec(each)?.[0] ?? "") + hidden).join("&")
  );
}

function hiddenValues(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.keys(values).map((name) => [name, hidden]));
}

function changedHeaders(before: unknown, after: unknown): string[] {
  const [was, is] = [membersOf(before), membersOf(after)];
  const names = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  return names.filter((name) => was[name] !== is[name]).map((name) => `${headersName}.${name}`);
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function pick(state: AuditState, names: readonly string[]): AuditState {
  return Object.fromEntries(names.filter((name) => name in state).map((name) => [name, state[name]]));
}
