import { compare } from "../stage/compare.ts";
import { burstRow, cpuRow } from "../stage/tables.ts";
import { addWebhookRows, webhooksOfEach } from "../stage/webhook-rows.ts";
import type { Part } from "./part.ts";
import { createPlainSite, measureSite } from "./plain.ts";

/** Events for webhooks all over a hundred thousand of them. */
export const webhooks: Part = {
  help: "throughput and memory with 100,000 webhooks of 10,000 organizations, against 20",
  async run({ stage, scale }) {
    const plain = await createPlainSite(stage);
    const databaseUrl = await stage.databases.create();
    const { secretsKey, origins } = stage;
    const plan = { group: "many", origin: origins.ok, organizations: scale.organizations, secretsKey };
    const many = { databaseUrl, traffic: await addWebhookRows(databaseUrl, plan) };
    const result = await compare(scale.rounds, {
      plain: () => measureSite(stage, plain, scale),
      other: () =>
        measureSite(stage, many, { ...scale, warmUpEvents: Math.max(scale.warmUpEvents, scale.organizations) }),
    });
    const count = scale.organizations * webhooksOfEach;
    console.log(`\n${count} webhooks: ${result.ratio.toFixed(2)} times the throughput with 20`);
    console.table([burstRow("20 webhooks", result.plain), burstRow(`${count} webhooks`, result.other)]);
    console.table([cpuRow("20 webhooks", result.plain), cpuRow(`${count} webhooks`, result.other)]);
    return { webhooks: count, ...result };
  },
};
