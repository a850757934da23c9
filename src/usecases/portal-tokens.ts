import { type IdSource, newUuid, publicId } from "../domain/ids.ts";
import { type PortalTokenCodec, type PortalTokenMaker, portalTokenPrefix } from "../domain/portal-token.ts";
import { isScope, type Scope } from "../domain/scope.ts";
import { invalidFields, TellwireError } from "../errors.ts";
import { type Principal, requiredOrganizationOf } from "./access.ts";
import type { AuditedChange, AuditTrail } from "./audit-trail.ts";
import type { Authenticator } from "./authenticate.ts";
import type { Transact } from "./changes.ts";
import type { Organizations } from "./organizations.ts";
import { ownProjects } from "./projects.ts";

/** Short-lived tokens for one organization: for a page that its customers see, or whatever else should not have a key. */
export interface PortalTokens {
  /**
   * Whom a portal token stands for; undefined for a text that is none. What it may do is what it was made for and what its maker still may. Throws
   * KEY_INVALID for one that is not of this server, has expired, or whose maker is gone.
   */
  identify: Authenticator;
  /**
   * Makes a token; `text` is the token, shown this once. Throws INVALID_FIELDS, PROJECT_NOT_FOUND, SCOPE_MISSING where the caller lacks a scope that
   * it asks for, and API_KEY_REQUIRED for a caller that nothing could end the token with.
   */
  create(principal: Principal, input: NewPortalToken): Promise<CreatedPortalToken>;
}

export interface NewPortalToken {
  organizationId: string;
  /** Undefined: the caller's own project, or else the whole organization. */
  projectId: string | undefined;
  access: PortalAccess;
  /** Undefined: an hour. */
  lifetimeMs: number | undefined;
}

/** What a token may be used for: reading, some scopes, or all that the caller may pass on. */
export type PortalAccess =
  | { kind: "everything" }
  | { kind: "read only" }
  | { kind: "scopes"; scopes: readonly Scope[] };

export interface CreatedPortalToken {
  text: string;
  /** A UUID. */
  id: string;
  organizationId: string;
  projectId: string | undefined;
  scopes: readonly Scope[];
  expiresAt: Date;
}

export interface PortalTokensDependencies {
  codec: PortalTokenCodec;
  organizations: Pick<Organizations, "require" | "requireProjects">;
  findMaker: FindMaker;
  ids: IdSource;
  transact: Transact;
  audit: AuditTrail;
}

/** What the maker of a token of this organization may do now. Throws KEY_INVALID where it may do nothing any more. */
export type FindMaker = (maker: PortalTokenMaker, organizationId: string) => Promise<ReadonlySet<Scope>>;

export function createPortalTokens(dependencies: PortalTokensDependencies): PortalTokens {
  const { codec, organizations, findMaker, ids, transact, audit } = dependencies;
  return {
    async identify({ keyText, origin }) {
      if (keyText === undefined || !keyText.startsWith(portalTokenPrefix)) return undefined;
      const token = await codec.read(keyText, ids.now());
      const { id, organizationId, projectId, maker } = token;
      const still = await findMaker(maker, organizationId);
      const scopes = new Set(token.scopes.filter(isScope).filter((scope) => still.has(scope)));
      const actor = { kind: "PORTAL_TOKEN", id: publicId("portalToken", id) } as const;
      return { kind: "organization", organizationId, projectId, actor, origin, scopes };
    },

    async create(principal, input) {
      const organizationId = requiredOrganizationOf(principal, input.organizationId, "organization_id");
      await organizations.require(organizationId);
      const maker = makerOf(principal);
      const [projectId] = ownProjects(principal, input.projectId === undefined ? [] : [input.projectId]);
      if (projectId !== undefined) await organizations.requireProjects(organizationId, [projectId]);
      const scopes = scopesOf(principal, input.access);
      const lifetimeMs = lifetimeOf(input.lifetimeMs);
      const id = newUuid(ids);
      const issuedAtMs = ids.now();
      // Whole seconds, as a JWT has them.
      const expiresAtMs = Math.floor((issuedAtMs + lifetimeMs) / 1000) * 1000;
      const text = await codec.write({ id, organizationId, projectId, scopes, maker, issuedAtMs, expiresAtMs });
      const created = { text, id, organizationId, projectId, scopes, expiresAt: new Date(expiresAtMs) };
      // The entry is all that is kept of a token. Without it nobody gets the token.
      await transact((em) => audit.record(em, principal, auditedCreation(created)));
      return created;
    },
  };
}

function auditedCreation({ id, organizationId, projectId, scopes, expiresAt }: CreatedPortalToken): AuditedChange {
  return {
    organizationId,
    action: "portal_token.create",
    resource: { type: "portal_token", id },
    before: null,
    after: { projectId: projectId ?? "", scopes: [...scopes], expireTime: expiresAt.toISOString() },
  };
}

const minuteMs = 60_000;
const defaultLifetimeMs = 60 * minuteMs;
const maxLifetimeMs = 24 * 60 * minuteMs;

/** A token could make tokens that outlive it, so none has these. */
const neverPassedOn: ReadonlySet<Scope> = new Set(["keys:read", "keys:write"]);

/** What only those get who are meant to: it tells of everybody who works with the organization. */
const onlyWhereNamed: ReadonlySet<Scope> = new Set(["audit:read"]);

const readScopes: ReadonlySet<Scope> = new Set(["webhooks:read", "events:read", "deliveries:read"]);

/** A token of another issuer is nothing that could be looked up later, and a portal token makes no others. */
function makerOf({ actor: { kind, id } }: Principal): PortalTokenMaker {
  if (kind === "API_KEY" || kind === "OPERATOR_KEY" || kind === "CLIENT_CERTIFICATE") return { kind, id };
  throw new TellwireError(
    "API_KEY_REQUIRED",
    "a portal token is made with an API key, an operator's key or a client certificate, because it ends with what it was made with",
  );
}

function scopesOf({ scopes: own }: Principal, access: PortalAccess): Scope[] {
  if (access.kind === "scopes") {
    const refused = access.scopes.find((scope) => neverPassedOn.has(scope));
    if (refused !== undefined) {
      throw invalidFields({ field: "scopes", description: `${refused} cannot be given to a portal token` });
    }
    const missing = access.scopes.find((scope) => !own.has(scope));
    if (missing !== undefined)
      throw scopeMissing(`your key does not have the scope ${missing}, so it cannot pass it on`, missing);
    return [...new Set(access.scopes)];
  }
  const passedOn = [...own].filter((scope) =>
    access.kind === "read only" ? readScopes.has(scope) : !neverPassedOn.has(scope) && !onlyWhereNamed.has(scope),
  );
  if (passedOn.length > 0) return passedOn;
  throw scopeMissing("your key has no scope that such a portal token can have", "webhooks:read");
}

function lifetimeOf(requestedMs: number | undefined): number {
  const lifetimeMs = requestedMs ?? defaultLifetimeMs;
  if (lifetimeMs >= minuteMs && lifetimeMs <= maxLifetimeMs) return lifetimeMs;
  throw invalidFields({ field: "lifetime", description: "must be from 60s to 86400s (24 hours); left out: an hour" });
}

function scopeMissing(message: string, scope: Scope): TellwireError {
  return new TellwireError("SCOPE_MISSING", message, { metadata: { scope } });
}
