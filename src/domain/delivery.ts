/** How far a delivery is; see `DeliveryStatus` of the contract for what each means. */
export type DeliveryStatus = "SCHEDULED" | "DELIVERED" | "EXHAUSTED" | "CANCELLED";

/**
 * A retry that somebody asked for: NOW moves the next attempt of a scheduled delivery forward, and its schedule goes on; ONCE gives a
 * finished delivery one more attempt.
 */
export type ManualRetry = "NOW" | "ONCE";
