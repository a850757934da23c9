/** Counts what waits in memory, in all and by organization, and shares the room where it is scarce. */
export interface WaitingRoom {
  /** Whether one more of the organization's may wait. */
  hasPlace(organizationId: string): boolean;
  enter(organizationId: string): void;
  leave(organizationId: string): void;
  size(): number;
}

/**
 * Makes an empty room of that many places. While it is at most half full it is everybody's. Beyond that, only organizations below their fair
 * share (the room over those that have something in it) may add to it.
 */
export function createWaitingRoom(places: number): WaitingRoom {
  const byOrganization = new Map<string, number>();
  let size = 0;
  return {
    hasPlace(organizationId) {
      if (size * 2 < places) {
        return true;
      }
      const own = byOrganization.get(organizationId) ?? 0;
      const organizations = byOrganization.size + (own === 0 ? 1 : 0);
      return size < places && own < places / organizations;
    },
    enter(organizationId) {
      byOrganization.set(organizationId, (byOrganization.get(organizationId) ?? 0) + 1);
      size += 1;
    },
    leave(organizationId) {
      const left = (byOrganization.get(organizationId) ?? 0) - 1;
      if (left > 0) {
        byOrganization.set(organizationId, left);
      } else {
        byOrganization.delete(organizationId);
      }
      size -= 1;
    },
    size: () => size,
  };
}
