/** What several hold of one memory that is bounded. */
export interface SharedBytes {
  /** For one of them, who gives back all that it takes. */
  share(): ByteShare;
}

export interface ByteShare {
  /** How many bytes it may take now; not positive where it has its share. What is taken at once may be more, such as one large payload. */
  free(): number;
  take(bytes: number): void;
  give(bytes: number): void;
}

export interface SharedBytesOptions {
  /** What one may have at the most. */
  most: number;
  /** What one may have in any case: nobody stands still because of what others hold. */
  least: number;
  /** What all may have together, but for the least that each may have. */
  inAll: number;
}

export function createSharedBytes({ most, least, inAll }: SharedBytesOptions): SharedBytes {
  let taken = 0;
  return {
    share() {
      let own = 0;
      return {
        free: () => Math.max(least - own, Math.min(most - own, inAll - taken)),
        take(bytes) {
          own += bytes;
          taken += bytes;
        },
        give(bytes) {
          own -= bytes;
          taken -= bytes;
        },
      };
    },
  };
}
