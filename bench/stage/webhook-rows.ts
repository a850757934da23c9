import { randomBytes } from "node:crypto";
import { newUuid, publicId } from "../../src/domain/ids.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { withDatabase } from "./databases.ts";
import { signingSecretOf } from "./signing-secret.ts";
import { eventTypeOf, type Traffic } from "./webhooks.ts";

/**
 * Writes organizations with ten webhooks each straight into the tables, their secrets sealed as Tellwire seals them: what the API would have
 * made in much longer. Each event is wanted by one webhook; the subjects name every webhook once, in an order without a pattern.
 */
export async function addWebhookRows(
  databaseUrl: string,
  { group, origin, organizations, secretsKey }: WebhookRowsPlan,
): Promise<Traffic> {
  const box = createSecretBox({ keys: [Buffer.from(secretsKey, "base64")] });
  const subjects: string[] = [];
  await withDatabase(databaseUrl, async (client) => {
    for (let first = 0; first < organizations; first += organizationsAtOnce) {
      const numbers = Array.from(
        { length: Math.min(organizationsAtOnce, organizations - first) },
        (_, at) => first + at,
      );
      const made = numbers.map((number) => ({ number, id: newUuid(ids) }));
      const webhooks = made.flatMap(({ number, id: organizationId }) =>
        Array.from({ length: webhooksOfEach }, (_, webhook) => {
          const path = `/${group}/${number}-${webhook}`;
          const id = newUuid(ids);
          subjects.push(`tellwire.events.${publicId("organization", organizationId)}.${eventTypeOf(webhook)}`);
          return {
            id,
            organizationId,
            url: origin + path,
            type: eventTypeOf(webhook),
            sealed: box.seal(signingSecretOf(path), id),
          };
        }),
      );
      await client.query(insertOrganizations, [
        made.map(({ id }) => id),
        made.map(({ number }) => `${group} ${number}`),
      ]);
      const column = <Name extends keyof (typeof webhooks)[number]>(name: Name) =>
        webhooks.map((webhook) => webhook[name]);
      await client.query(insertWebhooks, [column("id"), column("organizationId"), column("url"), column("type")]);
      await client.query(insertHealth, [column("id")]);
      await client.query(insertSecrets, [webhooks.map(() => newUuid(ids)), column("id"), column("sealed")]);
    }
    await client.query("vacuum analyze");
    await client.query("checkpoint");
  });
  return { group, subjects: scattered(subjects), fanOut: 1 };
}

interface WebhookRowsPlan {
  group: string;
  origin: string;
  organizations: number;
  /** In base64. */
  secretsKey: string;
}

/** Of each organization. */
export const webhooksOfEach = 10;
const organizationsAtOnce = 500;
const ids = { now: Date.now, randomBytes };

/** The same in each run: steps of a prime, which divides no number of webhooks that is measured. */
function scattered(subjects: readonly string[]): string[] {
  return subjects.map((_, place) => subjects[(place * 7919) % subjects.length] ?? "");
}

const insertOrganizations = `
  insert into organization (id, name, created_at, updated_at)
  select id, name, now(), now() from unnest($1::uuid[], $2::text[]) as n (id, name)`;

const insertWebhooks = `
  insert into webhook (id, organization_id, project_ids, description, url, event_types, status, status_reason, format, headers,
                       verification_method, verified_at, active_since, created_at, updated_at)
  select id, organization_id, '{}', '', url, array[type], 'ACTIVE', '', 'STANDARD', '{}', 'VOUCHED', now(), now(), now(), now()
  from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as n (id, organization_id, url, type)`;

const insertHealth = `
  insert into webhook_health (webhook_id, consecutive_failures, last_error) select id, 0, '' from unnest($1::uuid[]) as n (id)`;

const insertSecrets = `
  insert into webhook_secret (id, webhook_id, sealed, created_at)
  select id, webhook_id, sealed, now() from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as n (id, webhook_id, sealed)`;
