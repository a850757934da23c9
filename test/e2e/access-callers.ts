import { randomBytes } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Scope, ScopeSchema } from "../../gen/tellwire/v1/access_pb.ts";
import { OrganizationService } from "../../gen/tellwire/v1/organization_service_pb.ts";
import type { Database } from "../../src/store/database.ts";
import type { TellwireProcess } from "../support/tellwire.ts";

/** Those who call without being let in, and those who have one scope too few or one scope alone. The values are their keys. */
export interface Callers {
  /** By what is wrong with the key. */
  refused: Readonly<Record<string, { key: string | undefined; reason: string }>>;
  /** With every scope but this one. */
  without(scope: Scope): string;
  /** With this scope alone. */
  onlyWith(scope: Scope): string;
  /** Every key's text. */
  texts: readonly string[];
}

/** Makes the keys of one organization. The one that has expired did so in the database, since nobody waits for a clock. */
export async function createCallers(
  { httpUrl, operatorKey }: TellwireProcess,
  database: Database,
  organizationId: string,
): Promise<Callers> {
  const interceptors = [withKey(operatorKey)];
  const client = createClient(
    OrganizationService,
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1", interceptors }),
  );
  const made: string[] = [];
  const create = async (name: string, scopes: Scope[] = []) => {
    const expireTime = timestampFromMs(Date.now() + 3_600_000);
    const { apiKey, key } = await client.createApiKey({ organizationId, apiKey: { name, scopes, expireTime } });
    made.push(key);
    return { id: apiKey?.id ?? "", key };
  };
  const good = await create("good");
  const revoked = await create("revoked");
  await client.revokeApiKey({ organizationId, id: revoked.id });
  const expired = await create("expired");
  await database.sql.query(
    { name: "", text: "update api_key set expires_at = now() - interval '1 second' where name = 'expired'" },
    [],
  );
  const without = new Map<Scope, string>();
  const onlyWith = new Map<Scope, string>();
  for (const scope of allScopes) {
    const others = allScopes.filter((other) => other !== scope);
    without.set(scope, (await create(`without ${scope}`, others)).key);
    onlyWith.set(scope, (await create(`only ${scope}`, [scope])).key);
  }
  const last = good.key.endsWith("A") ? "B" : "A";
  return {
    refused: {
      "no key": { key: undefined, reason: "KEY_MISSING" },
      "a key that was never made": { key: `twk_${randomBytes(32).toString("base64url")}`, reason: "KEY_INVALID" },
      "a key with another last character": { key: good.key.slice(0, -1) + last, reason: "KEY_INVALID" },
      "a word": { key: "nonsense", reason: "KEY_INVALID" },
      "a revoked key": { key: revoked.key, reason: "KEY_INVALID" },
      "an expired key": { key: expired.key, reason: "KEY_INVALID" },
    },
    without: (scope) => without.get(scope)!,
    onlyWith: (scope) => onlyWith.get(scope)!,
    texts: made,
  };
}

const allScopes = ScopeSchema.values
  .map(({ number }) => number as Scope)
  .filter((scope) => scope !== Scope.UNSPECIFIED);

function withKey(key: string): Interceptor {
  return (next) => (request) => {
    request.header.set("x-api-key", key);
    return next(request);
  };
}
