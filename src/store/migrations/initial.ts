import { Migration } from "@mikro-orm/migrations";

/** The first tables. Times are timestamptz; ids are the UUIDs behind the public ids. */
export class Initial extends Migration {
  override up(): void {
    for (const statement of statements) {
      this.addSql(statement);
    }
  }
}

const statements = [
  `create table organization (
    id uuid primary key,
    name text not null,
    project_ids text[] not null default '{}',
    created_at timestamptz not null,
    updated_at timestamptz not null
  )`,

  `create table api_key (
    id uuid primary key,
    organization_id uuid not null references organization on delete cascade,
    name text not null,
    prefix text not null,
    hash bytea not null unique,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz
  )`,
  `create index api_key_organization on api_key (organization_id, id)`,

  `create table webhook (
    id uuid primary key,
    organization_id uuid not null references organization on delete cascade,
    project_ids text[] not null,
    name text,
    description text not null,
    url text not null,
    event_types text[] not null,
    status text not null check (status in ('UNVERIFIED', 'ACTIVE', 'PAUSED', 'DISABLED')),
    status_reason text not null,
    format text not null,
    headers jsonb not null,
    config jsonb,
    retry_delays_ms jsonb,
    max_attempts integer,
    timeout_ms integer,
    disable_after_exhausted integer,
    rate_limit_count integer,
    rate_limit_period_ms integer,
    ordering text not null default 'NONE' check (ordering in ('NONE', 'BY_KEY')),
    verification_method text not null check (verification_method in ('CHALLENGE', 'CLOUDEVENTS', 'VOUCHED', 'NONE')),
    verified_at timestamptz,
    verification_due_at timestamptz,
    active_since timestamptz,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null
  )`,
  `create unique index webhook_name on webhook (organization_id, name)`,
  `create index webhook_organization on webhook (organization_id, id)`,
  `create index webhook_verification_due on webhook (verification_due_at) where verification_due_at is not null`,

  `create table webhook_secret (
    id uuid primary key,
    webhook_id uuid not null references webhook on delete cascade,
    sealed bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz
  )`,
  `create index webhook_secret_webhook on webhook_secret (webhook_id)`,

  // Rewritten in place again and again: no index but the key, and room on each page, so that updates stay on it (HOT).
  `create table webhook_health (
    webhook_id uuid primary key references webhook on delete cascade,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    consecutive_failures integer not null,
    last_error text not null,
    total_attempts bigint not null default 0,
    failed_attempts bigint not null default 0,
    consecutive_exhausted integer not null default 0,
    exhausted_since timestamptz,
    failing_since timestamptz
  ) with (fillfactor = 50)`,
  // Changes only when a webhook begins to fail or recovers, so that the other updates stay on their page.
  `create index webhook_health_failing on webhook_health (failing_since) where failing_since is not null`,

  // Events with their payloads, in partitions of a day by the time of receipt (partitions.ts makes and drops them). A partition that is past
  // its retention is dropped whole. Each partition has a unique index of its own on (id, organization_id): the id may be a publisher's.
  `create table event (
    id uuid not null,
    organization_id uuid not null,
    external_id text,
    type text not null,
    data_json text not null,
    source text,
    subject text,
    project_id text,
    ordering_key text,
    traceparent text,
    replay_of uuid,
    audience text not null default 'SUBSCRIBERS' check (audience in ('SUBSCRIBERS', 'WEBHOOK', 'TEST')),
    occurred_at timestamptz not null,
    received_at timestamptz not null
  ) partition by range (received_at)`,
  `create index event_received on event (organization_id, received_at desc, id desc)`,
  // For lists of an operator over all organizations. A batch of events has one time of receipt, which makes the index small.
  `create index event_received_any on event (received_at desc)`,

  // What is still to be sent. Small, hot and in no partition, so that nothing which is due is ever dropped, and finding what is due does not
  // depend on how much was sent before. A delivery stands either here or in delivery. next_attempt_at 'infinity': it waits for its turn
  // behind an earlier delivery with its ordering_key. sequence: the event's place in the broker's order.
  `create table scheduled_delivery (
    id uuid primary key,
    organization_id uuid not null,
    webhook_id uuid not null,
    event_id uuid not null,
    event_type text not null,
    attempt_count integer not null,
    next_attempt_at timestamptz not null,
    manual_retry text check (manual_retry in ('NOW', 'ONCE')),
    last_status_code integer not null,
    created_at timestamptz not null,
    ordering_key text,
    sequence bigint
  ) with (fillfactor = 70)`,
  // A lane's next deliveries, in the order in which they are due.
  `create index scheduled_delivery_due on scheduled_delivery (webhook_id, next_attempt_at, id)`,
  `create index scheduled_delivery_organization on scheduled_delivery (organization_id, id desc)`,
  `create index scheduled_delivery_webhook on scheduled_delivery (webhook_id, id desc)`,
  // The turn of each key, and what has come since the turns were last looked at.
  `create index scheduled_delivery_turn on scheduled_delivery (webhook_id, ordering_key, sequence) where ordering_key is not null`,
  `create index scheduled_delivery_sequence on scheduled_delivery (webhook_id, sequence) where ordering_key is not null`,

  // What was sent, given up or cancelled: written once. Partitions of a day by the id, whose first 48 bits are created_at in milliseconds
  // since the epoch, which is when the event was received.
  `create table delivery (
    id uuid primary key,
    organization_id uuid not null,
    webhook_id uuid not null,
    event_id uuid not null,
    event_type text not null,
    status text not null check (status in ('DELIVERED', 'EXHAUSTED', 'CANCELLED')),
    status_reason text not null,
    attempt_count integer not null,
    last_status_code integer not null,
    created_at timestamptz not null,
    completed_at timestamptz not null
  ) partition by range (id)`,
  `create index delivery_organization on delivery (organization_id, id desc)`,
  `create index delivery_webhook on delivery (webhook_id, id desc)`,
  // What did not arrive is rare, and what people look for: a delivery that succeeds writes nothing here.
  `create index delivery_undelivered on delivery (id desc) where status <> 'DELIVERED'`,
  `create index delivery_undelivered_organization on delivery (organization_id, id desc) where status <> 'DELIVERED'`,
  `create index delivery_undelivered_webhook on delivery (webhook_id, id desc) where status <> 'DELIVERED'`,

  // Partitions of a day by the id, a UUIDv7 of the attempt's start.
  `create table attempt (
    id uuid primary key,
    delivery_id uuid not null,
    number integer not null,
    trigger text not null check (trigger in ('SCHEDULE', 'MANUAL', 'TEST')),
    started_at timestamptz not null,
    latency_ms double precision not null,
    status_code integer not null,
    error text,
    error_message text not null,
    response_body bytea not null,
    url text not null
  ) partition by range (id)`,
  `create index attempt_delivery on attempt (delivery_id, number)`,

  // One row for each webhook with scheduled deliveries. organization_id: for fair turns, of a webhook that is deleted too; null where only
  // a change of the webhook has made the lane. due_at 'infinity': nothing to do until somebody moves it. open_until and opened: the
  // circuit breaker. rate_time: when the rate limit's next request would be due at an even pace (GCRA). ordered_through: the turns of ordered
  // deliveries up to this sequence have been given out.
  `create table lane (
    webhook_id uuid primary key,
    organization_id uuid,
    due_at timestamptz not null,
    lease_owner uuid,
    lease_expires_at timestamptz,
    fence bigint not null default 0,
    open_until timestamptz,
    opened integer not null default 0,
    rate_time timestamptz,
    ordered_through bigint not null default 0
  ) with (fillfactor = 50)`,
  `create index lane_due on lane (due_at)`,

  // Events about Tellwire itself, on their way to the broker: written with the change that they tell of. claimed_until: until then somebody is
  // publishing it.
  `create table operational_event (
    id uuid primary key,
    organization_id uuid not null,
    type text not null,
    data_json text not null,
    occurred_at timestamptz not null default now(),
    claimed_until timestamptz
  )`,
  `create index operational_event_next on operational_event (occurred_at, id)`,

  // Jobs that send again what failed, or what was never sent. The cursor is the id of the last delivery, or receipt and id of the last event.
  // due_at: no step before it. A job outlives its webhook, to tell why it ended.
  `create table recovery (
    id uuid primary key,
    organization_id uuid not null,
    webhook_id uuid not null,
    scope text not null check (scope in ('FAILED', 'NEVER_SENT')),
    since timestamptz not null,
    until timestamptz not null,
    status text not null check (status in ('RUNNING', 'COMPLETED', 'CANCELLED', 'FAILED')),
    status_reason text not null,
    cursor_time timestamptz,
    cursor_id uuid,
    examined bigint not null default 0,
    resent bigint not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    completed_at timestamptz,
    due_at timestamptz not null
  )`,
  `create index recovery_organization on recovery (organization_id, id desc)`,
  `create index recovery_webhook on recovery (webhook_id, id desc)`,
  `create index recovery_due on recovery (due_at) where status = 'RUNNING'`,

  // Who used which idempotency key. The fingerprint of the request and the answer are sealed: both may give away a secret.
  `create table idempotency_key (
    scope text not null,
    key text not null,
    owner uuid not null,
    fingerprint bytea not null,
    state text not null check (state in ('IN_PROGRESS', 'ANSWERED')),
    answer bytea,
    lease_expires_at timestamptz,
    expires_at timestamptz not null,
    primary key (scope, key)
  )`,
  `create index idempotency_key_expires on idempotency_key (expires_at)`,

  // The Postgres broker: messages that wait for their acknowledgement, and those that nobody could understand.
  `create table broker_message (
    sequence bigint generated always as identity primary key,
    subject text not null,
    headers jsonb not null,
    body bytea not null,
    published_at timestamptz not null default now(),
    visible_at timestamptz not null default now(),
    delivery_count integer not null default 0
  ) with (fillfactor = 70)`,
  `create index broker_message_visible on broker_message (visible_at, sequence)`,
  `create table broker_rejected (
    sequence bigint generated always as identity primary key,
    subject text not null,
    headers jsonb not null,
    body bytea not null,
    reason text not null,
    rejected_at timestamptz not null default now()
  )`,
];
