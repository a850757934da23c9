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
    exhausted_since timestamptz
  ) with (fillfactor = 50)`,

  // The id comes first, so that it can be looked up alone; the organization makes it safe against ids that another one chose.
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
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    primary key (id, organization_id)
  )`,
  `create index event_received on event (organization_id, received_at desc, id desc)`,

  `create table delivery (
    id uuid primary key,
    organization_id uuid not null,
    webhook_id uuid not null,
    event_id uuid not null,
    event_type text not null,
    status text not null check (status in ('SCHEDULED', 'DELIVERED', 'EXHAUSTED', 'CANCELLED')),
    status_reason text not null,
    attempt_count integer not null,
    next_attempt_at timestamptz,
    manual_retry text check (manual_retry in ('NOW', 'ONCE')),
    last_status_code integer not null,
    created_at timestamptz not null,
    completed_at timestamptz
  )`,
  `create index delivery_created on delivery (organization_id, created_at desc, id desc)`,
  `create index delivery_webhook on delivery (webhook_id, created_at desc, id desc)`,
  `create index delivery_event on delivery (event_id)`,
  // A lane's next deliveries, in the order in which they are due.
  `create index delivery_due on delivery (webhook_id, next_attempt_at, id) where status = 'SCHEDULED'`,

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
  )`,
  `create index attempt_delivery on attempt (delivery_id, number)`,

  // One row for each webhook with scheduled deliveries. due_at 'infinity': nothing to do until somebody moves it.
  `create table lane (
    webhook_id uuid primary key,
    due_at timestamptz not null,
    lease_owner uuid,
    lease_expires_at timestamptz,
    fence bigint not null default 0
  ) with (fillfactor = 50)`,
  `create index lane_due on lane (due_at)`,

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
